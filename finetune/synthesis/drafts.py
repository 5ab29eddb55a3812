"""A question with its answer before it is worded in a style: what every way of asking makes of a chunk.

Knows chunks and the citation form; knows no grammar and no model.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from finetune.curation.pairs import Evidence, Kind
from finetune.synthesis.english import base_of_gerund, doing, lower_first, upper_first, word_set
from finetune.template import Turn
from finetune.voice import Voice
from ingest.chunk import TRAIL
from ingest.records import Chunk
from ingest.sentences import sentence_spans

_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|part|annex|appendix)\s+)?(?:\d+(?:\.\d+)*|[A-Z]\d*|[IVX]{1,4})[.):]\s+|"
    r"^\d+(?:\.\d+)+\s+|^(?:chapter|section|part|annex|appendix)\s+\w{1,3}\s*[-:–.]?\s+",
    re.IGNORECASE,
)
_MAIL_SUBJECT = re.compile(r"^(?:(?:re|fwd?|aw|wg):\s*)+", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()]*\)")
_BARE = word_set(
    "overview introduction general background notes note more other summary details contents "
    "short memo faq welcome tl;dr "
    "resources examples limits rules about info information steps dos references links oddities exceptions basics misc "
    "miscellaneous scope purpose"
) | {"small things", "see also", "further reading", "quick start", "do's and don'ts"}
_CLAUSE = re.compile(
    r"^(?:what|how|when|where|who|why|which|if|with|on|in|at|for|by|yourself|before|after|do|don[’']t|is|are|can)\b",
    re.IGNORECASE,
)
_FIRST_WORD = re.compile(r"(?:^|[.!?]\s|[-*•]\s)([A-Z][a-z]{4,})\b", re.MULTILINE)
_COMMON = re.compile(r"(?:ing|ed|tions?|ments?|able|ances?|wn)$")
_MONTHS = word_set("january february march april may june july august september october november december")
_MARK = re.compile(r"^(?:[-*•–]\s+|>+\s*|\d{1,2}[.)]\s+|\(?[a-zA-Z]\d{0,2}[.)]\s+)+")
_STEP = re.compile(r"^\d{1,2}\.\s+")
_STOPS = ".!?…"


@dataclass(frozen=True, slots=True)
class Draft:
    """A question in plain words with its answer.

    `topic` says in a few words what it is about, for questions that begin with a situation or would be unclear by
    themselves. `demand` is what an asker may add at the end. `way` names the rule that made it.
    """

    kind: Kind
    question: str
    answer: str
    evidence: tuple[Evidence, ...]
    source: Chunk | None
    topic: str
    way: str
    demand: str = ""
    history: tuple[Turn, ...] = ()
    planted: str = ""
    clear: bool = True  # whether the question says by itself what it is about


@dataclass(frozen=True, slots=True)
class Corpus:
    """All chunks, and what can be learnt from them together.

    `lower` are words that are written without a capital inside a sentence, `names` those written with one, and `places`
    names that stand after `in` again and again. `near` holds each chunk's text in lower case, and its words.
    """

    chunks: tuple[Chunk, ...]
    lower: frozenset[str]
    names: frozenset[str]
    places: frozenset[str]
    words: frozenset[str]
    text: str = field(repr=False)
    near: tuple[tuple[str, frozenset[str]], ...] = field(repr=False)

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> "Corpus":
        """Read the chunks once."""
        kept = tuple(chunks)
        text = "\n".join(f"{chunk.title}\n{chunk.heading}\n{chunk.text}" for chunk in kept)
        small = Counter(re.findall(r"(?<![\w.@/\\-])[a-z][a-z'’-]*(?![\w@/\\-])", text))
        large = Counter(word.casefold() for word in re.findall(r"(?<=[a-z,;] )[A-Z][\w'’-]*", text))
        lower = frozenset(word for word, count in small.items() if count >= large[word])
        names = frozenset(word for word in large if word not in lower)
        first = {word.casefold() for word in _FIRST_WORD.findall(text)}
        lower |= {word for word in first if word not in names and _COMMON.search(word)}
        after_in = Counter(word.casefold() for word in re.findall(r"\b[Ii]n ([A-Z][a-zà-ÿ]{3,})\b(?! >)", text))
        places = frozenset(
            word for word, count in after_in.items() if count > 1 and word in names and word not in _MONTHS
        )
        words = frozenset(word.casefold() for word in re.findall(r"\w+", text))
        shown = (chunk.embedded_text.casefold() for chunk in kept)
        near = tuple((one, frozenset(re.findall(r"\w+", one))) for one in shown)
        return cls(kept, lower, names, places, words, text, near)

    def topic(self, chunk: Chunk) -> str:
        """What a chunk is about: its last telling heading, with the one above where it says little by itself."""
        title = _short(plain_heading(_MAIL_SUBJECT.sub("", chunk.title)))
        trail = [_short(plain_heading(part)) for part in chunk.heading.split(TRAIL)] if chunk.heading else []
        names = [part for part in [title, *trail] if part and not _vague(part)]
        if not names:
            return ""
        last = self._calm(names[-1])
        if len(names) == 1 or len(last.split()) > 1:
            return last
        if last.casefold() in names[-2].casefold():
            return self._calm(names[-2])
        alone = last[0].islower() and not base_of_gerund(last)
        return last if alone else f"{self._calm(names[-2])}, {last}"

    def around(self, subject: str, doc: str) -> frozenset[str]:
        """The words of every chunk that names a subject, and of a document if one is given."""
        low = subject.casefold()
        found: set[str] = set()
        for chunk, (text, words) in zip(self.chunks, self.near, strict=True):
            if chunk.doc == doc or low in text:
                found |= words
        return frozenset(found)

    def _calm(self, heading: str) -> str:
        """A heading as it would stand inside a sentence."""
        if heading.isupper() and len(heading) > 5:
            heading = heading.capitalize()
        return doing(lower_first(heading, self.lower))


def plain_heading(heading: str) -> str:
    """A heading without its number, its asides and its stops."""
    text = _ASIDE.sub("", _NUMBERING.sub("", heading.strip()))
    return " ".join(text.split()).strip(" .:–-")


def _vague(heading: str) -> bool:
    """Whether a heading does not name a subject: a question, a clause, or a word that any document has."""
    return heading.casefold() in _BARE or heading.endswith("?") or bool(_CLAUSE.match(heading))


def _short(heading: str) -> str:
    """A heading without what it lists after a colon."""
    head, colon, _ = heading.partition(": ")
    return head if colon and len(head) > 5 and not re.search(r"\d", head) else heading


def evidence(chunk: Chunk, start: int, end: int) -> Evidence:
    """A span of a chunk, given by its places in the chunk."""
    return Evidence(chunk.doc, chunk.id, chunk.start + start, chunk.start + end, chunk.text[start:end])


def without_mark(text: str, start: int, end: int) -> int:
    """Where a line's words begin, after its bullet or number."""
    match = _MARK.match(text[start:end])
    return start + match.end() if match else start


def cited(text: str, number: int, voice: Voice) -> str:
    """Give every sentence of a text a final stop and, before it, the marker of its evidence."""
    lines = [_cited_line(" ".join(line.split()), number, voice) for line in text.split("\n") if line.strip()]
    return "\n".join(lines)


def _cited_line(line: str, number: int, voice: Voice) -> str:
    parts = []
    for start, end in sentence_spans(line):
        one = line[start:end]
        if one.endswith(":") or len(_STEP.sub("", one).split()) <= 2:
            parts.append(one if one[-1] in _STOPS + ":" else one + ".")
            continue
        body = one.rstrip("\"'”’)]") if re.search(r"[.!?…][\"'”’)\]]+$", one) else one
        closing = one[len(body) :]
        stem = body.rstrip(_STOPS + ";,: ")
        stops = body[len(stem) :].strip(" ;,:") or "."
        parts.append(
            f"{stem}{closing} {voice.cite(number)}{stops}" if closing else f"{stem} {voice.cite(number)}{stops}"
        )
    return " ".join(parts)


def joined(items: Sequence[str]) -> str:
    """Items in one line, each without its final stop."""
    return "; ".join(item.strip().rstrip(".;,") for item in items)


def full_sentence(text: str) -> str:
    """A verbatim sentence as the beginning of an answer."""
    return upper_first(" ".join(text.split()))
