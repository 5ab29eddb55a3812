"""A company's own questions and answers as pairs: masked, tidied, and tied to the documents that bear them out.

A sentence that stands in a document, word for word or nearly, cites it. Answers keep the company's own wording, without
greetings and small talk. Search is passed in. Knows no file format.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from finetune import house_form
from finetune.curation.conversations import Conversation
from finetune.curation.pairs import Evidence, Kind, Pair
from finetune.curation.pii import KINDS, mask
from finetune.support import hard_tokens, missing_facts, numbers, share_of_words, without_step_numbers
from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk
from ingest.sentences import sentence_spans

Search = Callable[[str], Sequence[Chunk]]
"""The chunks that a text finds, best first."""

NEARLY = 0.75
"""Share of a sentence's content words that a passage's sentences must hold to bear it out; of its facts, all."""
WINDOW = 3
"""Sentences in a row of a passage that may bear out one sentence together."""
NEXT = 8
"""Characters between two spans of which one follows the other."""
LONGEST = 8000
"""Characters of a question or an answer. Whatever is longer was no turn of a conversation."""
TURNS = 4
"""Turns before a question that are kept."""

REASONS = {
    "empty": "the question or the answer is empty",
    "too-long": f"a turn is longer than {LONGEST:,} characters",
    "courtesy": "nothing but small talk",
    "personal": "the answer turns on personal data",
    "partly-supported": "the documents bear out some sentences and not others",
    "not-supported": "no document bears it out, and it is not in the house form",
}
"""Why a question with its answer does not become a pair."""

_PLACEHOLDER = re.compile("|".join(f"<{kind}>" for kind in KINDS))
_GREETING = re.compile(
    r"""
    ^\W*(?:
        (?:hi|hello|hey|dear|good\ (?:morning|afternoon|evening))\b(?:\ (?:<name>|there|all|everyone|team|colleague))?
      | (?:many\ )?(?:thanks|thank\ you)(?:\ a\ lot|\ (?:so|very)\ much)?
            (?:\ for\ (?:(?:your|the)\ (?:message|question|mail|patience|call)|reaching\ out|asking|waiting))?
      | sure(?:\ thing)? | of\ course | certainly | absolutely | no\ problem | no\ worries | great\ question
      | (?:i'?m\ |we'?re\ )?(?:very\ )?sorry(?:\ (?:to\ hear|about|for)\ [^.!?,]*)?
      | <name>
    )\s*[,.!:–-]+\s*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What stands before the answer, or the question."""
_COURTESY = re.compile(
    r"""
    ^\W*(?:
        hi|hello|hey|dear|thanks|thank\ you|you'?re\ (?:very\ |most\ )?welcome|no\ problem|my\ pleasure
      | glad\ to | happy\ to
      | (?:please\ )?let\ (?:me|us)\ (?:know|check|look|see) | (?:i\ |we\ )?hope\ (?:this|that|it|you)
      | (?:please\ )?(?:do\ not|don'?t)\ hesitate | (?:please\ )?feel\ free | (?:is\ there\ )?anything\ else
      | can\ i\ help | how\ (?:can|may)\ (?:i|we)\ help | have\ a\ (?:nice|great|good|lovely)
      | (?:(?:kind|best|warm)\ )?(?:regards|wishes) | sincerely | one\ moment | bear\ with | take\ care | sorry
      | (?:best|cheers|bye|goodbye|great|perfect|sure|of\ course|<name>)\W*$
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A sentence that says nothing, as long as it is short and states no fact."""
SHORT = 14
"""Words of a courtesy at most."""


@dataclass(frozen=True, slots=True)
class Included:
    """A company's own pairs, what did not become one and why, and what was masked."""

    pairs: list[Pair]
    taken: int
    rejected: dict[str, int]
    examples: dict[str, str]
    masked: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Rejected:
    reason: str
    detail: str


def include(
    conversations: Iterable[Conversation], voice: Voice, search: Search, keep: Collection[str] = ()
) -> Included:
    """Make pairs of a company's own conversations, one for each answer, with the turns before it.

    Args:
        conversations: from `read_conversations`.
        voice: the house style.
        search: finds the chunks that may bear an answer out; it must return nothing that may not be tuned on.
        keep: addresses and numbers that the company published (`finetune.curation.pii.published`).
    """
    pairs: list[Pair] = []
    rejected: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for conversation in conversations:
        turns = _masked(conversation, keep, masked)
        for at in range(1, len(turns), 2):
            where = f"{conversation.where}#{at // 2 + 1}"
            longest = max(len(turn["content"]) for turn in conversation.turns[at - 1 : at + 1])
            made = _pair(where, turns[: at + 1], voice, search) if longest <= LONGEST else _too_long(longest)
            if isinstance(made, Pair):
                pairs.append(made)
            else:
                rejected[made.reason] += 1
                examples.setdefault(made.reason, f"{where}: {made.detail}")
    return Included(pairs, len(pairs) + rejected.total(), dict(rejected), examples, dict(masked))


def _masked(conversation: Conversation, keep: Collection[str], counts: Counter[str]) -> list[Turn]:
    turns = []
    for turn in conversation.turns:
        masked = mask(turn["content"][:LONGEST], keep, conversation.names)
        counts.update(masked.counts)
        turns.append(Turn(role=turn["role"], content=masked.text))
    return turns


def _too_long(characters: int) -> _Rejected:
    return _Rejected("too-long", f"{characters:,} characters")


def _pair(where: str, turns: Sequence[Turn], voice: Voice, search: Search) -> Pair | _Rejected:
    asked, raw = turns[-2]["content"], turns[-1]["content"]
    if not asked or not raw:
        return _Rejected("empty", "a question without an answer, or the other way round")
    question, answer = " ".join(_untied(asked).split()), tidy(raw, voice)
    if not question or not answer:
        return _Rejected("courtesy", raw[:80])
    if found := _PLACEHOLDER.search(answer):
        return _Rejected("personal", f"{found[0]} in {answer[:80]!r}")
    cited, spans, missing = _bear_out(answer, question, voice, search)
    if spans and missing:
        return _Rejected("partly-supported", missing[0][:80])
    if not spans and (broken := house_form.check(answer, voice, passages=0)):
        return _Rejected("not-supported", f"{broken[0].rule}: {answer[:80]!r}")
    return Pair(
        id=where,
        kind=Kind.OWN,
        style="own",
        question=question,
        answer=cited,
        doc=spans[0].evidence.doc if spans else "",
        evidence=tuple(one.evidence for one in spans),
        access=spans[0].access if spans else frozenset(),
        history=tuple(turns[:-2][-TURNS:]),
        teacher="own",
    )


def tidy(answer: str, voice: Voice) -> str:
    """An answer without greetings, small talk, markers and markup; every line ends with a stop.

    What it says is left as it is: an answer in another form stays in that form, and the filters decide.
    """
    text = re.sub(rf"\s*{voice.marker.pattern}", "", answer).replace("**", "").replace("```", "")
    lines = []
    for line in text.split("\n"):
        sentences = [_untied(line[start:end]) for start, end in sentence_spans(line)]
        kept = " ".join(one for one in sentences if one and not _says_nothing(one))
        if kept:
            lines.append(kept if kept[-1] in ".!?…:;。！？" else f"{kept}.")
    return "\n".join(lines)


def _says_nothing(sentence: str) -> bool:
    if not _COURTESY.match(sentence) or len(sentence.split()) > SHORT:
        return False
    return not numbers(sentence) and not hard_tokens(sentence)


def _untied(sentence: str) -> str:
    """A sentence, or a question, without the greeting before it."""
    while match := _GREETING.match(sentence):
        sentence = sentence[match.end() :]
        sentence = sentence[:1].upper() + sentence[1:]
    return sentence.strip()


@dataclass(frozen=True, slots=True)
class _Found:
    evidence: Evidence
    access: frozenset[str]


def _bear_out(answer: str, question: str, voice: Voice, search: Search) -> tuple[str, list[_Found], list[str]]:
    """Cite every sentence that a document bears out.

    Returns:
        The answer with its citations, what they cite, and the sentences that nothing bears out.
    """
    chunks = {chunk.id: chunk for chunk in (*search(f"{question} {answer}"), *search(question))}
    places: dict[tuple[str, int, int], int] = defaultdict(lambda: len(places) + 1)
    found: list[_Found] = []
    missing, out, position = [], [], 0
    for start, end in sentence_spans(answer):
        sentence = answer[start:end]
        claim = without_step_numbers(sentence)
        one = None if sentence.endswith(":") else _support(claim, chunks.values(), found[-1:])
        if one:
            place = places[one.evidence.chunk_id, one.evidence.start, one.evidence.end]
            found += [one] if place > len(found) else []
            sentence = _cite(sentence, voice.cite(place))
        elif not sentence.endswith(":") and len(claim.split()) > 2:
            missing.append(sentence)
        out += [answer[position:start], sentence]
        position = end
    return "".join(out), found, missing


def _support(claim: str, chunks: Iterable[Chunk], before: Sequence[_Found]) -> _Found | None:
    """The fewest sentences of a passage that hold a claim's facts and most of its words, best after those `before`."""
    best: tuple[float, _Found] | None = None
    for chunk in chunks:
        above = f"{chunk.title}\n{chunk.heading}\n"
        for start, end in _windows(chunk.text):
            text = chunk.text[start:end]
            evidence = Evidence(chunk.doc, chunk.id, chunk.start + start, chunk.start + end, text)
            worth = share_of_words(claim, text) - 0.003 * len(text.split())
            worth += 0.1 * any(_follows(evidence, one.evidence) for one in before)
            better = best is None or worth > best[0]
            if better and share_of_words(claim, above + text) >= NEARLY and not missing_facts(claim, above + text):
                best = worth, _Found(evidence, chunk.access)
    return best[1] if best else None


def _windows(text: str) -> Iterator[tuple[int, int]]:
    spans = sentence_spans(text)
    for first, (start, _) in enumerate(spans):
        yield from ((start, end) for _, end in spans[first : first + WINDOW])


def _follows(one: Evidence, other: Evidence) -> bool:
    """Whether a span is another one, or begins in it or right after it: what an answer says next stands next."""
    return one.chunk_id == other.chunk_id and other.start <= one.start <= other.end + NEXT


def _cite(sentence: str, marker: str) -> str:
    """Put a marker at the end of a sentence, before its stop."""
    body = sentence.rstrip(".!?…;。！？")
    return f"{body} {marker}{sentence[len(body) :] or '.'}"
