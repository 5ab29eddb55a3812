"""Do the passages that were found answer the question, and which of their sentences come nearest?

The strongest signal is the nearest sentence, not the nearest passage: a passage is about many things, the sentence that
answers is about one. Knows vectors; asks no language model.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.answering.asked_for import asked_for, has_what_is_asked_for
from ingest.records import Chunk
from ingest.sentences import sentence_spans
from retrieval.lexical import stems
from retrieval.records import Hit

PASSAGES = 5
"""Passages whose sentences are compared."""

REMEMBERED = 30_000
"""Texts whose vectors are kept (1.5 KB each)."""

RECONSIDERED = 8
"""Sentences, the nearest ones, that are also looked at below their headings: with more of them nothing changes."""

WORDS, ASKED_FOR, RANK = 0.15, 0.1, 0.03
"""Beside its cosine: what a sentence gains that has all words of the question; what it gains that has the kind of thing
that is asked for, and loses that has not; and what it loses for each place its passage is down the list (docs/log.md
has what each is worth)."""

SHORTEST = 4
"""Words that a sentence needs to say anything; what is shorter is a heading."""

Vectors = npt.NDArray[np.float32]


class Index(Protocol):
    """What is asked of the search."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (texts, dimension)."""
        ...

    def spread(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """For each vector the mean and the standard deviation of its cosines with all passages, shape (vectors, 2)."""
        ...


@dataclass(frozen=True, slots=True)
class Nearest:
    """A sentence of a passage that was found: `chunk.text[start:end]`; `place` counts the passages from 0.

    `score`: its cosine to the question, where it was also looked at below its heading the mean of both, and what is
    added to it, see `WORDS`.
    """

    place: int
    chunk: Chunk
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        """The sentence."""
        return self.chunk.text[self.start : self.end]

    @property
    def span(self) -> tuple[int, int]:
        """Where it stands in the document."""
        return self.chunk.start + self.start, self.chunk.start + self.end


@dataclass(frozen=True, slots=True)
class Relevance:
    """How near the documents come to a question.

    `sentence`: the best cosine of a sentence that says something. `standing`: by how many standard deviations the best
    passage's cosine lies above what this question has with any passage for everyone; what cosine is much differs
    between collections, this does not. `nearest`: sentences that say something, the best ones first.
    """

    sentence: float = 0.0
    standing: float = 0.0
    nearest: tuple[Nearest, ...] = ()


NOTHING = Relevance()
"""Where nothing was searched or found."""


class RelevanceJudge:
    """Judges what search has found. Remembers the sentences that it has seen."""

    def __init__(self, index: Index) -> None:
        """Take the search whose passages are judged."""
        self._index = index
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> list[Relevance]:
        """How near what was found comes to each question."""
        if not any(found):
            return [NOTHING for _ in questions]
        near = [[hit.chunk for hit in hits[:PASSAGES]] for hits in found]
        asked = [_ways(question) for question in questions]
        texts = [[chunk.text[slice(*span)] for chunk in some for span in sentence_spans(chunk.text)] for some in near]
        with self._lock:
            self._embed([text for some in (*asked, *texts) for text in some])
            ways = [self._vectors(one) for one in asked]
            cosines = [self._cosines(some, way) for some, way in zip(texts, ways, strict=True)]
            nearest = [_nearest(*one) for one in zip(questions, near, cosines, strict=True)]
            below = [[_below_heading(one) for one, _ in some[:RECONSIDERED]] for some in nearest]
            self._embed([text for some in below for text in some])
            again = [self._cosines(some, way) for some, way in zip(below, ways, strict=True)]
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        spread = self._index.spread(np.stack([way[0] for way in ways]))
        return [_judge(*one) for one in zip(found, nearest, again, spread, strict=True)]

    def _embed(self, texts: Sequence[str]) -> None:
        """Get to know texts, those that are new in one batch."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._index.embed(new), strict=True))
        for text in texts:
            self._known.move_to_end(text)

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._known[text] for text in texts])

    def _cosines(self, texts: Sequence[str], ways: Vectors) -> Vectors:
        """The cosine of each text to that way of asking which it comes nearest to."""
        return (self._vectors(texts) @ ways.T).max(axis=1) if texts else np.zeros(0, np.float32)


def _nearest(question: str, chunks: Sequence[Chunk], cosines: Vectors) -> list[tuple[Nearest, float]]:
    """The sentences that say something with their cosines, the best ones first, looked at by themselves."""
    words, wanted = set(stems(question)), asked_for(question)
    places = [(place, chunk, *span) for place, chunk in enumerate(chunks) for span in sentence_spans(chunk.text)]
    nearest = []
    for (place, chunk, start, end), cosine in zip(places, map(float, cosines), strict=True):
        text = chunk.text[start:end]
        if _says_something(text, chunk):
            score = cosine + WORDS * len(words & set(stems(text))) / max(1, len(words)) - RANK * place
            score += ASKED_FOR * has_what_is_asked_for(text, wanted)
            nearest.append((Nearest(place, chunk, start, end, score), cosine))
    return sorted(nearest, key=lambda one: -one[0].score)


def _below_heading(one: Nearest) -> str:
    """A sentence below its heading: many say only there what they are about."""
    return f"{one.chunk.heading or one.chunk.title}: {one.text}"


def _judge(
    hits: Sequence[Hit],
    nearest: Sequence[tuple[Nearest, float]],
    again: Vectors,
    spread: npt.NDArray[np.float64],
) -> Relevance:
    """Put together how near sentences come by themselves and below their headings: the mean of both counts."""
    if not hits:
        return NOTHING
    moved = [(float(below) - cosine) / 2 for (_, cosine), below in zip(nearest, again, strict=False)]
    first = [replace(one, score=one.score + by) for (one, _), by in zip(nearest, moved, strict=False)]
    first.sort(key=lambda one: -one.score)
    best = max((cosine for _, cosine in nearest), default=0.0)
    passage = max((hit.dense for hit in hits if hit.dense is not None), default=best)
    mean, deviation = spread
    rest = [one for one, _ in nearest[len(first) :]]
    return Relevance(best, float((passage - mean) / deviation), (*first, *rest))


def _says_something(text: str, chunk: Chunk) -> bool:
    """Whether a sentence could answer: a heading and a question, however near they come, do not."""
    headings = {one.casefold() for one in (chunk.title, *chunk.heading.split(" › "))}
    return len(text.split()) >= SHORTEST and not text.endswith("?") and text.strip("# ").casefold() not in headings


def _ways(question: str) -> list[str]:
    """The question as it is, and without the story before it."""
    sentences = [question[start:end] for start, end in sentence_spans(question)]
    asking = [one for one in sentences if one.endswith("?")]
    return [question, asking[-1]] if asking and len(sentences) > 1 else [question]
