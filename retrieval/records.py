"""What a search gives back. Plain frozen data."""

from dataclasses import dataclass, field

from ingest.records import Chunk


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found: its rank from 1, the score that ranked it and the signals behind the score.

    `score` is the fused score (0 to 1) for hybrid search, the cosine for dense, BM25 for bm25, and the
    cross-encoder's where it reranked. `dense` (cosine, -1 to 1) and `bm25` are None where that retriever was not
    asked or did not find the passage.
    """

    rank: int
    score: float
    chunk: Chunk
    dense: float | None = None
    bm25: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The passages for one question, from one generation of the index. `took_ms` is wall time in milliseconds."""

    query: str
    generation: str
    method: str
    hits: tuple[Hit, ...] = field(default_factory=tuple)
    took_ms: float = 0.0
