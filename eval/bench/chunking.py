"""Chunking measured on Chroma's collection: how much of the gold excerpts comes back, and how much else with it.

Definitions and data: Smith and Troynikov 2024, https://research.trychroma.com/evaluating-chunking. There as here,
"token-wise" figures are computed on character ranges, over all corpora in one collection.
"""

import csv
import json
import re
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.console import track
from eval.bench.retrieval import rank
from ingest.chunk import chunk
from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Block, BlockKind, Chunk, Parsed
from ingest.workspace import Workspace
from retrieval.dense import DenseIndex
from retrieval.embed import CachedEmbedder, Embedder
from retrieval.lexical import LexicalIndex, LexicalRow
from retrieval.settings import Method


@dataclass(frozen=True, slots=True)
class Excerpts:
    """A question and the character ranges that answer it in one corpus."""

    question: str
    corpus: str
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ChunkingReport:
    """Means over questions for one chunk size and method, `k` chunks retrieved."""

    chunk_tokens: int
    method: str
    k: int
    recall: float
    precision: float
    iou: float
    chunks: int
    mean_chars: float
    questions: int

    def as_json(self) -> dict[str, float | int | str]:
        """Rounded to four digits."""
        return {
            "chunk_tokens": self.chunk_tokens,
            "method": self.method,
            "k": self.k,
            "recall": round(self.recall, 4),
            "precision": round(self.precision, 4),
            "iou": round(self.iou, 4),
            "chunks": self.chunks,
            "mean_chars": round(self.mean_chars, 1),
            "questions": self.questions,
        }


def read_excerpts(folder: Path) -> tuple[dict[str, str], list[Excerpts]]:
    """Read `corpora/*.md` and `questions_df.csv`.

    Raises:
        DeskmateError: a file is missing or broken.
    """
    try:
        corpora = {path.stem: path.read_text("utf-8") for path in sorted((folder / "corpora").glob("*.md"))}
        with open(folder / "questions_df.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        questions = [
            Excerpts(
                row["question"],
                row["corpus_id"],
                tuple((ref["start_index"], ref["end_index"]) for ref in json.loads(row["references"])),
            )
            for row in rows
        ]
    except (OSError, KeyError, ValueError) as error:
        raise DeskmateError(f"{folder} is no folder of Chroma's chunking evaluation ({error})") from error
    if not corpora:
        raise DeskmateError(f"{folder}/corpora holds no *.md")
    return corpora, questions


def bench_chunking(
    folder: Path, sizes: Sequence[int], method: Method, embedder: Embedder, workspace: Workspace, k: int = 5
) -> list[ChunkingReport]:
    """Chunk, index and query the collection once a size."""
    corpora, questions = read_excerpts(folder)
    return [_measure(corpora, questions, size, method, embedder, workspace, k) for size in track(sizes, "Chunk sizes")]


def _measure(
    corpora: dict[str, str],
    questions: Sequence[Excerpts],
    size: int,
    method: Method,
    embedder: Embedder,
    workspace: Workspace,
    k: int,
) -> ChunkingReport:
    chunks: list[Chunk] = []
    for name, text in corpora.items():
        parsed = _as_is(text)
        chunks += chunk(
            parsed, name, frozenset({EVERYONE}), embedder.offsets, chunk_tokens=size, window=embedder.window
        )
    found = _search([one.question for one in questions], chunks, method, embedder, workspace, k)
    scores = []
    for question, rows in zip(questions, found, strict=True):
        gold = _positions(question.corpus, question.ranges)
        got = {p for row in rows for p in _positions(chunks[row].doc, [(chunks[row].start, chunks[row].end)])}
        both = len(gold & got)
        scores.append((both / len(gold), both / max(1, len(got)), both / len(gold | got)))
    recall, precision, iou = np.mean(scores, axis=0)
    mean_chars = float(np.mean([len(one.text) for one in chunks]))
    return ChunkingReport(
        size, method, k, float(recall), float(precision), float(iou), len(chunks), mean_chars, len(questions)
    )


def _as_is(text: str) -> Parsed:
    """The corpus with paragraphs as blocks and not a character changed: the gold ranges count in the raw text."""
    blocks = [
        Block(BlockKind.PARAGRAPH, match.start(), match.end()) for match in re.finditer(r"\S(?:.|\n(?!\s*\n))*", text)
    ]
    return Parsed("", text, tuple(blocks))


def _search(
    questions: Sequence[str], chunks: Sequence[Chunk], method: Method, embedder: Embedder, workspace: Workspace, k: int
) -> list[list[int]]:
    texts = [one.embedded_text for one in chunks]
    with (
        tempfile.TemporaryDirectory() as scratch,
        closing(CachedEmbedder(embedder, workspace.cache / "embeddings.db")) as cached,
    ):
        dense = DenseIndex.empty(embedder.dimension)
        dense.add(np.arange(len(texts)), cached.embed(texts))
        lexical = LexicalIndex.create(Path(scratch) / "lexical")
        lexical.update((), [LexicalRow(row, text, frozenset({EVERYONE})) for row, text in enumerate(texts)])
        return [[row for row, _ in rank(q, method, cached, dense, lexical)[:k]] for q in questions]


def _positions(corpus: str, ranges: Sequence[tuple[int, int]]) -> set[tuple[str, int]]:
    return {(corpus, position) for start, end in ranges for position in range(start, end)}
