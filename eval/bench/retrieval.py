"""Retrieval measured on BEIR folders: the product's own embedder, FAISS, BM25 and fusion, one passage a document.

Layout: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv` (Thakur et al. 2021, https://arxiv.org/abs/2104.08663).
"""

import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.records import EVERYONE
from ingest.workspace import Workspace
from retrieval.dense import DenseIndex, Ranking
from retrieval.embed import CachedEmbedder, Embedder
from retrieval.fusion import fuse
from retrieval.lexical import LexicalIndex, LexicalRow
from retrieval.settings import Method

DEPTH = 100
"""Passages kept a query: as deep as recall@100 looks."""


@dataclass(frozen=True, slots=True)
class Beir:
    """A retrieval test collection. `corpus` and `queries` map ids to text; `qrels` maps query to passage to grade."""

    name: str
    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """One method on one collection. `each` has for every metric one value a query, `times_ms` a wall time a query."""

    method: Method
    each: dict[str, list[float]]
    times_ms: list[float]
    documents: int
    seconds_index: float

    def as_json(self) -> dict[str, float | int | str]:
        """Under the names of the contract; metrics are means over queries."""
        p50, p95 = np.percentile(self.times_ms, [50, 95])
        return {
            "method": self.method,
            **{name: round(float(np.mean(values)), 4) for name, values in self.each.items()},
            "queries": len(self.times_ms),
            "documents": self.documents,
            "seconds_index": round(self.seconds_index, 2),
            "ms_per_query_p50": round(float(p50), 2),
            "ms_per_query_p95": round(float(p95), 2),
        }


def read_beir(folder: Path, split: str) -> Beir:
    """Read a collection; only the queries that the split judges are kept.

    Raises:
        DeskmateError: a file is missing or broken, or a judgement names a query that is not there.
    """
    corpus = {
        str(data["_id"]): f"{data.get('title') or ''}\n{data.get('text') or ''}".strip()
        for _, data in read_jsonl(folder / "corpus.jsonl")
    }
    texts = {str(data["_id"]): str(data["text"]) for _, data in read_jsonl(folder / "queries.jsonl")}
    path = folder / "qrels" / f"{split}.tsv"
    qrels: defaultdict[str, dict[str, int]] = defaultdict(dict)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                qrels[row["query-id"]][row["corpus-id"]] = int(row["score"])
    except (OSError, KeyError, ValueError) as error:
        raise DeskmateError(f"{path} cannot be read ({error}); a BEIR folder has qrels/SPLIT.tsv") from error
    missing = sorted(set(qrels) - set(texts))
    if missing:
        raise DeskmateError(f"{path} judges the query {missing[0]}, which queries.jsonl does not have")
    return Beir(folder.name, corpus, {name: texts[name] for name in qrels}, dict(qrels))


def bench_retrieval(data: Beir, method: Method, embedder: Embedder, workspace: Workspace) -> RetrievalReport:
    """Index a collection in a temporary folder and run every query, one at a time, as the product does."""
    names = list(data.corpus)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        dense, lexical = _index(list(data.corpus.values()), method, embedder, workspace, Path(scratch))
        seconds = time.perf_counter() - started
        run: dict[str, dict[str, float]] = {}
        times = []
        for query, text in data.queries.items():
            begun = time.perf_counter()
            ranking = rank(text, method, embedder, dense, lexical)
            times.append((time.perf_counter() - begun) * 1000)
            run[query] = {names[row]: float(DEPTH - place) for place, (row, _) in enumerate(ranking)}
    return RetrievalReport(method, measure(data.qrels, run), times, len(names), seconds)


def _index(
    texts: Sequence[str], method: Method, embedder: Embedder, workspace: Workspace, scratch: Path
) -> tuple[DenseIndex, LexicalIndex]:
    dense = DenseIndex.empty(embedder.dimension)
    lexical = LexicalIndex.create(scratch / "lexical")
    if method != "bm25":
        cached = CachedEmbedder(embedder, workspace.cache / "embeddings.db")
        dense.add(np.arange(len(texts)), cached.embed(texts))
        cached.close()
    if method != "dense":
        everyone = frozenset({EVERYONE})
        lexical.update((), [LexicalRow(row, text, everyone) for row, text in enumerate(texts)])
    return dense, lexical


def rank(
    text: str, method: Method, embedder: Embedder, dense: DenseIndex, lexical: LexicalIndex, depth: int = DEPTH
) -> Ranking:
    """One question through bare indexes, as `retrieval.search` does it over a generation."""
    words = lexical.search(text, depth, None) if method != "dense" else []
    if method == "bm25":
        return words
    vector = embedder.embed([text])
    near = dense.search(vector, depth)[0]
    if method == "dense":
        return near
    cosines, bm25 = dict(near), dict(words)
    cosines |= dense.cosines(vector[0], bm25.keys() - cosines.keys())
    return fuse(cosines, bm25)[:depth]


def measure(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """nDCG@10, recall@5, recall@100 and MRR@10 by ir-measures (https://ir-measur.es), for every query of `qrels`.

    A query that found nothing has 0 everywhere.
    """
    import ir_measures
    from ir_measures import RR, R, nDCG

    wanted = {"ndcg@10": nDCG @ 10, "recall@5": R @ 5, "recall@100": R @ 100, "mrr@10": RR @ 10}
    found = {(str(one.measure), one.query_id): one.value for one in ir_measures.iter_calc(wanted.values(), qrels, run)}
    return {name: [float(found.get((str(one), query), 0.0)) for query in qrels] for name, one in wanted.items()}
