"""Do the passages that were found answer the question, and which of their sentences come nearest?

The strongest signal is the nearest sentence, not the nearest passage: a passage is about many things, the sentence that
answers is about one. Knows vectors; asks no language model.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ingest.records import Chunk
from ingest.sentences import sentence_spans
from retrieval.lexical import stems
from retrieval.records import Hit

PASSAGES = 5
"""Passages whose sentences are compared."""

REMEMBERED = 2_000
"""Passages whose sentences' vectors are kept (about 20 KB each)."""

WORDS, RANK = 0.15, 0.03
"""What a sentence gains that has all words of the question, and loses for each place its passage is down the list,
beside its cosine. Of the facts asked for in WorkArena and the sample questions, the two best sentences have 89 and
45 % with these, 87 and 39 % by cosine alone (docs/log.md)."""

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

    `score`: its cosine to the question and what is added to it, see `WORDS`.
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

    `sentence`: the best sentence's cosine. `standing`: by how many standard deviations the best passage's cosine lies
    above what this question has with any passage for everyone; what cosine is much differs between collections, this
    does not. `nearest`: sentences that say something, the best ones first.
    """

    sentence: float = 0.0
    standing: float = 0.0
    nearest: tuple[Nearest, ...] = ()


NOTHING = Relevance()
"""Where nothing was searched or found."""


class RelevanceJudge:
    """Judges what search has found. Remembers the sentences of passages that it has seen."""

    def __init__(self, index: Index) -> None:
        """Take the search whose passages are judged."""
        self._index = index
        self._sentences: OrderedDict[str, Vectors] = OrderedDict()  # by the text of the passage
        self._lock = threading.Lock()

    def __call__(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> list[Relevance]:
        """How near what was found comes to each question."""
        if not any(found):
            return [NOTHING for _ in questions]
        asked = [_ways(question) for question in questions]
        with self._lock:
            near = [[hit.chunk for hit in hits[:PASSAGES]] for hits in found]
            flat = self._vectors([way for ways in asked for way in ways], [c for chunks in near for c in chunks])
            sentences = [[self._sentences[chunk.text] for chunk in chunks] for chunks in near]
            while len(self._sentences) > REMEMBERED:
                self._sentences.popitem(last=False)
        ends = np.cumsum([len(ways) for ways in asked])
        vectors = np.split(flat, ends[:-1])
        spread = self._index.spread(np.stack([ways[0] for ways in vectors]))
        return [_judge(*one) for one in zip(questions, vectors, spread, found, sentences, strict=True)]

    def _vectors(self, questions: Sequence[str], chunks: Sequence[Chunk]) -> Vectors:
        """The questions' vectors; those of the chunks' sentences are remembered. All in one batch."""
        missing = {chunk.text: _units(chunk) for chunk in chunks if chunk.text not in self._sentences}
        vectors = self._index.embed([*questions, *(unit for units in missing.values() for unit in units)])
        first = len(questions)
        for text, units in missing.items():
            self._sentences[text] = vectors[first : first + len(units)].copy()
            first += len(units)
        for chunk in chunks:
            self._sentences.move_to_end(chunk.text)
        return vectors[: len(questions)]


def _judge(
    question: str,
    ways: Vectors,
    spread: npt.NDArray[np.float64],
    hits: Sequence[Hit],
    sentences: Sequence[Vectors],
) -> Relevance:
    if not hits:
        return NOTHING
    wanted = set(stems(question))
    nearest: list[Nearest] = []
    best = 0.0
    for place, (hit, vectors) in enumerate(zip(hits, sentences, strict=False)):
        for (start, end), cosine in zip(sentence_spans(hit.chunk.text), (vectors @ ways.T).max(axis=1), strict=True):
            best = max(best, float(cosine))
            text = hit.chunk.text[start:end]
            if _says_something(text, hit.chunk):
                shared = len(wanted & set(stems(text))) / max(1, len(wanted))
                score = float(cosine) + WORDS * shared - RANK * place
                nearest.append(Nearest(place, hit.chunk, start, end, score))
    nearest.sort(key=lambda one: -one.score)
    passage = max((hit.dense for hit in hits if hit.dense is not None), default=best)
    mean, deviation = spread
    return Relevance(best, float((passage - mean) / deviation), tuple(nearest))


def _says_something(text: str, chunk: Chunk) -> bool:
    """Whether a sentence could answer: a heading and a question, however near they come, do not."""
    headings = {one.casefold() for one in (chunk.title, *chunk.heading.split(" › "))}
    return len(text.split()) >= SHORTEST and not text.endswith("?") and text.strip("# ").casefold() not in headings


def _ways(question: str) -> list[str]:
    """The question as it is, and without the story before it."""
    sentences = [question[start:end] for start, end in sentence_spans(question)]
    asking = [one for one in sentences if one.endswith("?")]
    return [question, asking[-1]] if asking and len(sentences) > 1 else [question]


def _units(chunk: Chunk) -> list[str]:
    return [chunk.text[start:end] for start, end in sentence_spans(chunk.text)]
