"""Do the passages that were found answer the question? Two signals of search, one number between 0 and 1.

The strongest signal is the nearest sentence, not the nearest passage: a passage is about many things, the sentence that
answers is about one. Knows vectors; asks no language model.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ingest.records import Chunk
from ingest.sentences import sentence_spans
from retrieval.records import Hit

PASSAGES = 5
"""Passages whose sentences are compared."""

REMEMBERED = 2_000
"""Passages whose sentences' vectors are kept (about 20 KB each)."""

PASSAGE, SENTENCE, BIAS = 2.9, 8.1, -6.8
"""A logistic regression on the questions of WorkArena and Debian's FAQ, each asked as it is and once more without the
documents that answer it. `deskmate bench relevance` measures it and fits another."""

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]


class Relevance:
    """Judges what search has found. Remembers the sentences of passages that it has seen."""

    def __init__(self, embed: Embed) -> None:
        """Take the embedder of the index."""
        self._embed = embed
        self._sentences: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> list[float]:
        """The probability, for each question, that its passages answer it; 0 without passages."""
        weights = np.array([PASSAGE, SENTENCE])
        logits = self.signals(questions, found) @ weights + BIAS
        return [1 / (1 + math.exp(-z)) if hits else 0.0 for z, hits in zip(logits.tolist(), found, strict=True)]

    def signals(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> npt.NDArray[np.float64]:
        """The best passage's cosine and the best sentence's.

        Returns:
            Shape (questions, 2), in this order.
        """
        with self._lock:
            return self._signals(questions, found)

    def _signals(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> npt.NDArray[np.float64]:
        asked = [_ways(question) for question in questions]
        near = [[hit.chunk for hit in hits[:PASSAGES]] for hits in found]
        vectors = iter(self._vectors([way for ways in asked for way in ways], [c for chunks in near for c in chunks]))
        rows = []
        for ways, chunks, hits in zip(asked, near, found, strict=True):
            question_vectors = np.stack([next(vectors) for _ in ways])
            sentences = [self._sentences[chunk.id] for chunk in chunks]
            passage = max((hit.dense for hit in hits if hit.dense is not None), default=0.0)
            sentence = max((float((one @ question_vectors.T).max()) for one in sentences if len(one)), default=0.0)
            rows.append((passage, sentence))
        while len(self._sentences) > REMEMBERED:
            self._sentences.popitem(last=False)
        return np.array(rows).reshape(-1, 2)

    def _vectors(self, questions: Sequence[str], chunks: Sequence[Chunk]) -> npt.NDArray[np.float32]:
        """The questions' vectors; those of the chunks' sentences are remembered. All in one batch."""
        missing = {chunk.id: _units(chunk) for chunk in chunks if chunk.id not in self._sentences}
        vectors = self._embed([*questions, *(unit for units in missing.values() for unit in units)])
        first = len(questions)
        for id, units in missing.items():
            self._sentences[id] = vectors[first : first + len(units)].copy()
            first += len(units)
        for chunk in chunks:
            self._sentences.move_to_end(chunk.id)
        return vectors[: len(questions)]


def _ways(question: str) -> list[str]:
    """The question as it is, and without the story before it."""
    sentences = [question[start:end] for start, end in sentence_spans(question)]
    asking = [one for one in sentences if one.endswith("?")]
    return [question, asking[-1]] if asking and len(sentences) > 1 else [question]


def _units(chunk: Chunk) -> list[str]:
    return [chunk.text[start:end] for start, end in sentence_spans(chunk.text)]
