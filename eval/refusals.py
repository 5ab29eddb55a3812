"""Does an answer answer, decline or ask back? Told from its words, for answers of every mode. Asks no model.

The house's refusal is known to `finetune.voice`. An untuned model declines in words of its own, and those are looked
for here. Figures on labelled answers are in docs/metrics.md; a test holds them.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.voice import Voice
from ingest.jsonl import read_jsonl
from ingest.sentences import sentence_spans

LABELS = Path(__file__).with_name("refusal_labels.jsonl")
"""Answers that deskmate gave in its four modes, each read and labelled (docs/metrics.md says how)."""

Said = Literal["answer", "refusal", "clarification"]

_TELL = (
    r"(?:assist|help|provide|answer|respond|find|locate|determine|confirm|access|see|say|tell|comment|disclose|share)"
)
_SOURCE = r"(?:passages?|documents?|contexts?|contents?|texts?|sources?|excerpts?|articles?|provided\s information)"
_DECLINES = re.compile(
    rf"""
    # I cannot find …, we are unable to help, the help desk is not equipped to assist
    \b(?:I|we|desk|assistant)\b [^.!?]{{0,40}} (?:\bcan(?:not|\s not|['’]t) | \bcould(?:\s not|n['’]t)
        | \b(?:unable|not\s able|not\s be\s able|not\s equipped)\s to) \s (?:\w+ly\s)? {_TELL}\b
    | \b(?:I|we)(?:\s would|['’]d)\s rather\s not\b
    | \bnot\s possible\s to\s {_TELL}\b
    # I don't know, we do not have the details, I have no information
    | \b(?:I|we)\s (?:really\s|currently\s)? (?:do|did)(?:\s not|n['’]t)\s (?:\w+ly\s)?
        (?:know | find | see\s (?:any|it|that) | have\s (?:\w+\s){{0,4}}
        (?:access|information|details?|data|answer|knowledge|documents?|records?))\b
    | \b(?:I|we)\s (?:currently\s)? have\s no\s (?:\w+\s)?
        (?:access|information|details?|data|knowledge|records?|idea|way)\b
    | \bI(?:['’]m|\s am)\s not\s (?:sure|aware|certain|familiar)\b
    | \b(?:outside|beyond)\s (?:of\s)? (?:my|our)\s (?:\w+\s)? (?:scope|knowledge|reach|remit|documents)\b
    | \bas\s an\s AI\b
    # The passages do not mention …, it is not stated in our documents, there is no information on …
    | \b{_SOURCE}\b [^.!?]{{0,60}} \b(?:do(?:es)?|did)(?:\s not|n['’]t)\s (?:\w+ly\s)?
        (?:mention|specify|provide|contain|state|say|include|give|list|cover|address|answer|have|indicate|explain|tell)\b
    | \bnot\s (?:\w+ly\s)? (?:mentioned|specified|stated|provided|given|included|listed|found|covered|available)\s
        (?:in|by)\s (?:\w+\s){{0,2}} {_SOURCE}\b
    | \bthere\s is\s no\s (?:\w+\s)? (?:information|mention|answer)\b
    | \bno\s (?:\w+\s)? (?:information|mention|answer)\s (?:\w+\s){{0,3}} (?:found|available|provided|given)\b
    | \bcan(?:not|['’]t|\s not)\s be\s (?:found|determined|answered)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASKS = re.compile(
    r"""
    \b(?:could|can|would|will)\s you\s (?:please\s)?
        (?:tell|specify|clarify|provide|give|share|explain|describe|rephrase|confirm|let\s me|be\s more)\b
    | \bplease\s (?:specify|clarify|rephrase|describe|tell\s (?:me|us)|provide\s (?:me|us|more|your|further|the\s full)
        |give\s (?:me|us|more)|be\s more\s specific|let\s (?:me|us)\s know\s (?:which|what|whether|if\s you\s mean))\b
    | \b(?:do|did)\s you\s mean\b | \bare\s you\s (?:asking|looking|referring)\b | \btell\s me\s (?:what|which|more)\b
    | \b(?:which|what)\b [^.?!]{0,30} \b(?:do|are|would)\s you\s (?:mean|need|want|looking|referring|like|asking)\b
    | \b(?:I|we)(?:['’]ll|['’]d|\s would|\s will)?\s need\s (?:to\s know|(?:some\s)?(?:more|further|additional))\b
    | \b(?:I|we)\s (?:do|did)(?:\s not|n['’]t)\s understand\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_OFFERS = re.compile(
    r"^(?:I(?:['’]m|['’]d| am| can| could| will| would)|We (?:are|can|could|will|would)|The [\w ]{1,40}?(?:can|is))"
    r"\b[^.!?]{0,25}\b(?:help|assist|provide (?:this|that|you))\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"^(?:hello|hi|sure|certainly|of course|thank you|thanks|I(?:['’]m| am) sorry|sorry)\b[^.!?]*[.!?]?$", re.I
)
_REFERS = re.compile(
    r"\b(?:please|kindly) (?:ask|contact|consult|call|check with|reach out|refer to|turn to|speak (?:to|with))\b", re.I
)


def classify(answer: str, voice: Voice) -> Said:
    """Tell an answer from a refusal and from a question back.

    A refusal says, before anything else, that it cannot or will not answer, or offers help and then sends the asker
    elsewhere. A clarification asks the asker for something and says nothing else but courtesies. All else is an
    answer, right or wrong, also one that declines a part of what was asked.
    """
    if voice.is_refusal(answer):
        return "refusal"
    asks = offers = refers = False
    for start, end in sentence_spans(answer):
        sentence = answer[start:end]
        if _DECLINES.search(sentence):
            return "clarification" if asks else "refusal"
        if _ASKS.search(sentence):
            asks = True
        elif _REFERS.search(sentence):
            refers = True
        elif _OFFERS.search(sentence):
            offers = True
        elif not _COURTESY.search(sentence):
            break
    else:
        if asks:
            return "clarification"
        if offers and refers:
            return "refusal"
    return "answer"


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer of one of the modes and what it is."""

    answer: str
    mode: str
    label: Said


def labelled(*, held_out: bool) -> list[Labelled]:
    """The half of the labelled answers that the rules were written on, or the other; split by the answers' hash."""
    lines = [Labelled(**line) for _, line in read_jsonl(LABELS)]
    return [one for one in lines if hashlib.sha256(one.answer.encode()).digest()[-1] % 2 == held_out]
