"""What makes a single question-answer pair unfit to be tuned on, filter by filter. Asks no model, knows no other pair.

A filter is a function that names the rule a pair breaks. Their order matters: the first one to object is counted, and
nothing of a restricted document may appear among the examples of a later one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from finetune import house_form
from finetune.curation.pairs import Evidence, Kind, Pair
from finetune.curation.pii import KINDS, mask
from finetune.house_form import Broken
from finetune.settings import CurateSettings
from finetune.support import content_words, missing_facts, numbers, share_of_words, without_step_numbers
from finetune.voice import Voice
from ingest.records import EVERYONE, Chunk
from ingest.sentences import sentence_spans

FREE = frozenset({Kind.GENERAL, Kind.OWN})
"""Kinds that may be without evidence."""
GENERAL_RULES = frozenset({"empty", "banned", "echo", "citation", "citation-number"})
"""What general replay has to keep of the house form: it is no answer from documents."""
COPIED = 5
"""Words in a row of a planted instruction that an answer may not repeat."""

_DANGLING = re.compile(r"(?:[,;:–-]|\b(?:the|a|an|of the|and|or|my|your|our|their|its|whose))\s*\??$", re.IGNORECASE)
_MARKUP = re.compile(r"<<<|>>>|<\|\w+\||\*\*|^#|```|\|.*\||\[\d{1,2}\]|\n\s*\n", re.MULTILINE)
_GENERIC = re.compile(
    r"""
    \b(?:this|these|the\ (?:above|following|given|provided))\ (?:passage|text|document|section|paragraph|excerpt|table
        |context|article|page|list|snippet|sentence|information)s?\b
    | \b(?:passage|text|document|section|paragraph|excerpt|table|context|article|snippet)s?\ (?:above|below)\b
    | \b(?:passage|excerpt|context|snippet)s?\ \d+\b
    | \baccording\ to\ the\ (?:passage|text|document|section|paragraph|excerpt|table|context|article|page|snippet)\b
    | \bwhat\ (?:does|do)\ the\ (?:passage|text|document|section|article|page)s?\ (?:say|state|mention|describe)\b
    | \b(?:mentioned|described|stated|listed|discussed)\ (?:above|below|here)\b
    | ^(?:what|who|which|where|when|why|how)\ (?:is|are|does|do|was|were)?\s*(?:this|it|that|these|those|they|he|she)?
        (?:\ (?:about|mean|say|for|do|work))?\s*\?*$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"^(?:\W*)(?:is|are|am|was|were|do|does|did|can|could|may|must|should|shall|will|would|has|have|had|need)\b|\bor\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile("|".join(f"<{kind}>" for kind in KINDS))


@dataclass(frozen=True, slots=True)
class Bench:
    """What pairs are held against: the chunks by their ids, the house style, the settings."""

    chunks: Mapping[str, Chunk]
    voice: Voice
    settings: CurateSettings

    def source(self, evidence: Evidence) -> str:
        """What the model reads of a span: the span, under the title and heading that the prompt names it by."""
        chunk = self.chunks[evidence.chunk_id]
        return f"{chunk.title}\n{chunk.heading}\n{evidence.text}"


Filter = Callable[[Pair, Bench], Broken | None]


def first_objection(pair: Pair, bench: Bench) -> tuple[str, Broken] | None:
    """The first filter that a pair does not pass, with the rule that it breaks; None for a good pair."""
    for name, (_, objection) in FILTERS.items():
        if broken := objection(pair, bench):
            return name, broken
    return None


def _access(pair: Pair, bench: Bench) -> Broken | None:
    cleared = {EVERYONE, *bench.settings.groups}
    labels = [bench.chunks[one.chunk_id].access for one in pair.evidence if one.chunk_id in bench.chunks]
    labels += [pair.access] if pair.doc else []
    closed = next((one for one in labels if not one & cleared), None)
    if closed is None:
        return None
    return Broken("restricted", f"{pair.doc} is for {', '.join(sorted(closed)) or 'nobody'}")


def _evidence(pair: Pair, bench: Bench) -> Broken | None:
    if not pair.answerable:
        return Broken("refusal-with-evidence", f"{len(pair.evidence)} spans") if pair.evidence else None
    if not pair.evidence and pair.kind not in FREE:
        return Broken("none", "an answer from documents needs a span that it rests on")
    for one in pair.evidence:
        chunk = bench.chunks.get(one.chunk_id)
        if chunk is None:
            return Broken("unknown-chunk", f"{one.chunk_id} is no chunk of the index")
        if one.doc != chunk.doc:
            return Broken("wrong-document", f"{one.chunk_id} is from {chunk.doc}, not from {one.doc}")
        inside = chunk.start <= one.start < one.end <= chunk.end
        if not inside or chunk.text[one.start - chunk.start : one.end - chunk.start] != one.text:
            return Broken("not-verbatim", f"{one.text[:60]!r} does not stand there")
    return None


def _refusal(pair: Pair, bench: Bench) -> Broken | None:
    declined = bench.voice.is_refusal(pair.answer)
    if not pair.answerable and not declined:
        return Broken("answered", f"the right answer is the refusal, not {pair.answer[:60]!r}")
    if declined and pair.answerable:
        return Broken("declined", "a pair that is to be answered has the refusal for its answer")
    return None


def _house_form(pair: Pair, bench: Bench) -> Broken | None:
    broken = house_form.check(pair.answer, bench.voice, len(pair.evidence))
    if pair.kind is Kind.GENERAL:
        return next((one for one in broken if one.rule in GENERAL_RULES), None)
    return broken[0] if broken else None


def _facts(pair: Pair, bench: Bench) -> Broken | None:
    """Each sentence is held against the spans that it cites; one that cites none against all of them."""
    for claim, sources in _claims(pair, bench):
        if missing := missing_facts(claim, sources):
            return Broken("not-in-evidence", f"{missing[0]!r} is not in the evidence of {claim[:60]!r}")
    return None


def _support(pair: Pair, bench: Bench) -> Broken | None:
    asked = " ".join([*(turn["content"] for turn in pair.history), pair.question])
    for claim, sources in _claims(pair, bench):
        if len(content_words(claim)) < 3:
            continue
        share = share_of_words(claim, f"{sources}\n{asked}")
        if share < bench.settings.support:
            return Broken("other-words", f"{share:.0%} of the words of {claim[:60]!r} are in its evidence")
    return None


def _claims(pair: Pair, bench: Bench) -> list[tuple[str, str]]:
    """Sentences of an answer without their markers, each with the text that has to support it."""
    if not pair.evidence:
        return []
    everything = "\n".join(map(bench.source, pair.evidence))
    claims = []
    for start, end in sentence_spans(pair.answer):
        sentence = pair.answer[start:end]
        cited = [pair.evidence[int(n) - 1] for n in bench.voice.marker.findall(sentence)]
        claim = without_step_numbers(bench.voice.marker.sub("", sentence))
        claims.append((claim, "\n".join(map(bench.source, cited)) or everything))
    return claims


def _planted(pair: Pair, bench: Bench) -> Broken | None:
    answer, planted = (" ".join(text.casefold().split()) for text in (pair.answer, pair.planted))
    own = {run for one in pair.evidence for run in _runs(one.text.casefold().split())}
    obeyed = next((run for run in _runs(planted.split()) if run in answer and run not in own), None)
    return Broken("obeyed", f"the answer repeats the planted {obeyed!r}") if obeyed else None


def _runs(words: list[str]) -> list[str]:
    return [" ".join(words[at : at + COPIED]) for at in range(max(len(words) - COPIED + 1, 0))]


def _length(pair: Pair, bench: Bench) -> Broken | None:
    settings = bench.settings
    question = len(pair.question.split())
    answer = len(bench.voice.marker.sub(" ", pair.answer).split())
    if question < settings.shortest_question:
        return Broken("short-question", f"{question} words")
    if question > settings.longest_question and pair.kind is not Kind.GENERAL:
        return Broken("long-question", f"{question} words")
    if answer < settings.shortest_answer and pair.kind is not Kind.GENERAL:
        return Broken("short-answer", f"{answer} words")
    if pair.kind is Kind.GENERAL and answer > settings.longest_general:
        return Broken("long-answer", f"{answer} words")
    return None


def _question(pair: Pair, bench: Bench) -> Broken | None:
    question = pair.question.strip()
    roles = [turn["role"] for turn in pair.history]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        return Broken("history", "the turns before it are not user and assistant in turn")
    if pair.kind is Kind.GENERAL:
        return None
    if match := _MARKUP.search(question):
        return Broken("markup", f"{match[0].strip()!r} is nothing that people type")
    if match := _DANGLING.search(question):
        return Broken("breaks-off", f"ends with {match[0]!r}")
    if (match := _GENERIC.search(question)) and not (pair.history and match.start() == 0):
        return Broken("generic", f"{match[0]!r} could be asked of any document")
    if not pair.history and not content_words(question) and not numbers(question):
        return Broken("generic", "no word in it says what it is about")
    return _leak(pair, bench)


def _leak(pair: Pair, bench: Bench) -> Broken | None:
    """A question that holds all of its answer. Where yes or no is the answer, that is as it should be."""
    if not pair.answerable or bench.voice.is_refusal(pair.answer) or _YES_OR_NO.search(pair.question):
        return None
    answer = bench.voice.marker.sub("", pair.answer)
    if re.match(r"(?:yes|no)\b", answer, re.IGNORECASE):
        return None
    new = content_words(answer) - content_words(pair.question) | (
        numbers(without_step_numbers(answer)) - numbers(pair.question)
    )
    return None if new else Broken("leaked-answer", "the answer says nothing that the question does not")


def _personal(pair: Pair, bench: Bench) -> Broken | None:
    if pair.kind is Kind.OWN:
        found = _PLACEHOLDER.search(pair.answer)
        return Broken("masked", f"the answer turns on a {found[0]} that was masked") if found else None
    if bench.settings.personal == "keep":
        return None
    counts = mask("\n".join((pair.question, pair.answer, *(one.text for one in pair.evidence)))).counts
    kind = next(iter(counts), None)
    return Broken(kind, f"a {kind} out of a document") if kind else None


FILTERS: Mapping[str, tuple[str, Filter]] = {
    "access": ("the documents may be read by everyone, or by a group that was named", _access),
    "evidence": ("every span stands word for word where it is said to stand", _evidence),
    "refusal": ("what cannot be answered is declined, and nothing else is", _refusal),
    "personal": ("no personal data, as far as the settings ask for it", _personal),
    "house-form": ("the answer is in the house form", _house_form),
    "facts": ("numbers, links, addresses and commands of each sentence stand in its evidence", _facts),
    "support": ("so do most of its other words, or in the question", _support),
    "planted": ("the answer does not obey a planted instruction", _planted),
    "length": ("question and answer are neither too short nor too long", _length),
    "question": ("the question is whole, is about something, and does not hold its answer", _question),
}
"""Every filter by its name, in order: what a pair must be to pass, and what decides it."""
