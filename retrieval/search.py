"""A question to passages: both retrievers, fused, for one asker's groups. Access is decided inside the search."""

import threading
import time
from collections.abc import Iterable, Sequence

from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from retrieval.chunks import DocumentText
from retrieval.dense import Allowed, Ranking
from retrieval.embed import Embedder
from retrieval.fusion import reciprocal_rank_fusion
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
        reader = frozenset(groups) | {EVERYONE}
        depth = max(self._settings.candidates, k or self._settings.k)
        dense: list[Ranking] = [[] for _ in questions]
        lexical: list[Ranking] = [[] for _ in questions]
        if method != "bm25":
            vectors = self._embedder.embed(questions)
            dense = opened.generation.dense.search(vectors, depth, opened.allowed(reader))
        if method != "dense":
            limit = None if opened.reads_all(reader) else reader
            lexical = [opened.generation.lexical.search(question, depth, limit) for question in questions]
        results = [
            self._result(opened, question, method, d, b, k or self._settings.k)
            for question, d, b in zip(questions, dense, lexical, strict=True)
        ]
        took = (time.perf_counter() - started) * 1000 / max(1, len(questions))
        name = opened.generation.manifest.generation
        return [SearchResult(q, name, method, hits, took) for q, hits in zip(questions, results, strict=True)]

    def _result(
        self, opened: "_Opened", question: str, method: Method, dense: Ranking, lexical: Ranking, k: int
    ) -> tuple[Hit, ...]:
        match method:
            case "dense":
                ranking = dense
            case "bm25":
                ranking = lexical
            case "hybrid":
                ranking = reciprocal_rank_fusion((dense, lexical), self._settings.rrf_k)
        keep = max(k, self._settings.rerank_candidates) if self._reranker else k
        ranking = ranking[:keep]
        chunks = opened.generation.table.chunks(row for row, _ in ranking)
        ranking = self._rerank(question, ranking, chunks)[:k]
        cosine, bm25 = dict(dense), dict(lexical)
        return tuple(
            Hit(rank, score, chunks[row], cosine.get(row), bm25.get(row))
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


def check_question(question: str) -> None:
    """Refuse what is no question.

    Raises:
        DeskmateError: it is empty, or longer than 8,000 characters.
    """
    if not question.strip():
        raise DeskmateError("the question is empty; ask something")
    if len(question) > MOST_CHARACTERS:
        raise DeskmateError(
            f"the question has {len(question):,} characters, at most {MOST_CHARACTERS:,} are read; shorten it"
        )


class _Opened:
    """A generation and what has been worked out about who may read it."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self._allowed: dict[frozenset[str], Allowed | None] = {}

    def allowed(self, groups: frozenset[str]) -> Allowed | None:
        """The rows that `groups` may read, or None when that is all of them."""
        if groups not in self._allowed:
            if len(self._allowed) >= 256:  # groups come from the outside: don't let them fill the memory
                self._allowed.clear()
            table = self.generation.table
            self._allowed[groups] = None if table.all_readable(groups) else Allowed(table.readable_rows(groups))
        return self._allowed[groups]

    def reads_all(self, groups: frozenset[str]) -> bool:
        """Whether `groups` may read everything."""
        return self.allowed(groups) is None
