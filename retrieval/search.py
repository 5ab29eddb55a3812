"""A question to passages: both retrievers, fused, for one asker's groups. Access is decided inside the search."""

import functools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from retrieval.chunks import ChunkTable, DocumentText, DocumentVersion
from retrieval.dense import Allowed, Ranking, Spread
from retrieval.embed import Embedder, Vectors
from retrieval.fusion import fuse
from retrieval.records import Hit, SearchResult
from retrieval.rerank import Reranker, rerank_within
from retrieval.settings import Method, RetrievalSettings
from retrieval.store import Generation, Store

MOST_CHARACTERS = 8_000
"""Longest question. What is longer is a document, not a question."""


class Searcher:
    """Searches the generation that serves, and moves to the next one as soon as it is published."""

    def __init__(
        self, store: Store, embedder: Embedder, settings: RetrievalSettings, reranker: Reranker | None = None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._settings = settings
        self._reranker = reranker
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    @property
    def k(self) -> int:
        """How many passages a search returns by default."""
        return self._settings.k

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts by the index's embedder, shape (texts, dimension)."""
        return self._embedder.embed(texts)

    def spread(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """Mean and standard deviation of each vector's cosines with the passages for everyone, shape (vectors, 2)."""
        return self._current().spread.cosines(vectors)

    def open(self) -> Generation:
        """The generation that serves now.

        Raises:
            DeskmateError: there is none, it is damaged, or it was made with another embedder.
        """
        return self._current().generation

    def _current(self) -> "_Opened":
        with self._lock:
            name = self._store.current_name()
            if self._opened is None or self._opened.generation.manifest.generation != name:
                generation = self._store.open()
                made_with = generation.manifest.recipe.embedder
                if made_with != self._embedder.id:
                    raise DeskmateError(
                        f"the index was made with the embedder {made_with}, the settings name {self._embedder.id}; "
                        "set retrieval.embedder back, or ingest your documents again"
                    )
                self._opened = _Opened(generation)
            return self._opened

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        groups: Iterable[str] = (),
        method: Method | None = None,
    ) -> SearchResult:
        """Find the passages nearest to a question.

        Args:
            question: in the asker's words.
            k: how many passages; the settings' number by default.
            groups: the asker's groups; everyone is in `everyone`.
            method: the settings' method by default.

        Raises:
            DeskmateError: an empty or endless question, or no usable index.
        """
        return self.search_batch([question], k=k, groups=groups, method=method)[0]

    def search_batch(
        self,
        questions: Sequence[str],
        *,
        k: int | None = None,
        groups: Iterable[str] = (),
        method: Method | None = None,
    ) -> list[SearchResult]:
        """Search for several questions of one asker at once; `took_ms` is the mean over the batch."""
        started = time.perf_counter()
        for question in questions:
            check_question(question)
        opened = self._current()
        method = method or self._settings.method
        k = k or self._settings.k
        reader = frozenset(groups) | {EVERYONE}
        found = self._candidates(opened, questions, method, reader, max(self._settings.candidates, k))
        results = [self._hits(opened, question, one, k) for question, one in zip(questions, found, strict=True)]
        took = (time.perf_counter() - started) * 1000 / max(1, len(questions))
        name = opened.generation.manifest.generation
        return [SearchResult(q, name, method, hits, took) for q, hits in zip(questions, results, strict=True)]

    def _candidates(
        self, opened: "_Opened", questions: Sequence[str], method: Method, reader: frozenset[str], depth: int
    ) -> list["_Candidates"]:
        """Ask the retrievers that the method names, each for what `reader` may see and nothing else."""
        dense, lexical = opened.generation.dense, opened.generation.lexical
        groups = None if opened.reads_all(reader) else reader
        by_words = [lexical.search(q, depth, groups) if method != "dense" else [] for q in questions]
        if method == "bm25":
            return [_Candidates(ranking, {}, dict(ranking)) for ranking in by_words]
        vectors = self._embedder.embed(questions)
        by_vector = dense.search(vectors, depth, opened.allowed(reader))
        if method == "dense":
            return [_Candidates(ranking, dict(ranking), {}) for ranking in by_vector]
        found = []
        for vector, near, words in zip(vectors, by_vector, by_words, strict=True):
            cosines, bm25 = dict(near), dict(words)
            cosines |= dense.cosines(vector, bm25.keys() - cosines.keys())
            found.append(_Candidates(fuse(cosines, bm25), cosines, bm25))
        return found

    def _hits(self, opened: "_Opened", question: str, found: "_Candidates", k: int) -> tuple[Hit, ...]:
        keep = max(k, self._settings.rerank_candidates) if self._reranker else k
        ranking = found.ranking[:keep]
        chunks = opened.generation.table.chunks(row for row, _ in ranking)
        ranking = self._rerank(question, ranking, chunks)[:k]
        return tuple(
            Hit(rank, score, chunks[row], found.cosines.get(row), found.bm25.get(row))
            for rank, (row, score) in enumerate(ranking, start=1)
        )

    def _rerank(self, question: str, ranking: Ranking, chunks: dict[int, Chunk]) -> Ranking:
        """Put what the cross-encoder read in its order, and the rest behind in fusion's order."""
        if self._reranker is None:
            return ranking
        head = ranking[: self._settings.rerank_candidates]
        texts = [chunks[row].embedded_text for row, _ in head]
        scored = rerank_within(self._reranker, question, texts, self._settings.rerank_ms)
        read = {i for i, _ in scored}
        rest = [entry for i, entry in enumerate(ranking) if i not in read]
        return [(ranking[i][0], score) for i, score in scored] + rest

    def document(self, doc: str, groups: Iterable[str] = ()) -> DocumentText | None:
        """A document's whole text, or None when it is unknown or not for these groups."""
        return self._current().generation.table.document(doc, frozenset(groups) | {EVERYONE})

    def versions(self, docs: Iterable[str], groups: Iterable[str] = ()) -> dict[str, DocumentVersion]:
        """Those of some documents that are there and for these groups, as they are now."""
        return self._current().generation.table.versions(docs, frozenset(groups) | {EVERYONE})

    def passages(self, ids: Iterable[str], groups: Iterable[str] = ()) -> dict[str, Chunk]:
        """The chunks of some ids that are there and for these groups."""
        return self._current().generation.table.passages(ids, frozenset(groups) | {EVERYONE})


def check_question(question: str) -> None:
    """Refuse what is no question.

    Raises:
        DeskmateError: it is empty, longer than 8,000 characters, or not valid Unicode.
    """
    if not question.strip():
        raise DeskmateError("the question is empty; ask something")
    if len(question) > MOST_CHARACTERS:
        raise DeskmateError(
            f"the question has {len(question):,} characters, at most {MOST_CHARACTERS:,} are read; shorten it"
        )
    if any("\ud800" <= char <= "\udfff" for char in question):
        raise DeskmateError("the question is not valid Unicode; send it as UTF-8")


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What was found for one question: the ranking by the method asked for, and each retriever's own scores."""

    ranking: Ranking
    cosines: dict[int, float]
    bm25: dict[int, float]


class _Opened:
    """A generation and what has been worked out about who may read it."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        # Groups come from the outside: they must not fill the memory.
        self._rows = functools.lru_cache(maxsize=256)(functools.partial(_readable, generation.table))

    @functools.cached_property
    def spread(self) -> Spread:
        """How the vectors of what everyone may read lie: what others may not know moves no confidence."""
        return self.generation.dense.spread(self.generation.table.readable_rows(frozenset({EVERYONE})))

    def allowed(self, groups: frozenset[str]) -> Allowed | None:
        """The rows that `groups` may read, or None when that is all of them."""
        return self._rows(groups)

    def reads_all(self, groups: frozenset[str]) -> bool:
        """Whether `groups` may read everything."""
        return self.allowed(groups) is None


def _readable(table: ChunkTable, groups: frozenset[str]) -> Allowed | None:
    return None if table.all_readable(groups) else Allowed(table.readable_rows(groups))
