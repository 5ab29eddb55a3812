"""Searching measured on an index of any size: opening it, and one asker's hybrid searches with access filters.

The texts are made up, with words as frequent as in English; the vectors are random ones in clusters, because exact
search takes the same time over any. Store, chunk table, FAISS, tantivy, access and the embedder are the product's own.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.chunk import chunk_id
from ingest.records import EVERYONE, PARSERS, Chunk, embedded_text
from ingest.workspace import Workspace
from retrieval.chunks import DocumentRow
from retrieval.embed import Embedder, OnBatch, Vectors
from retrieval.lexical import LexicalRow
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings
from retrieval.store import Draft, Recipe, Store

CHUNKS_A_DOCUMENT = 50
WORDS_A_CHUNK = 95
"""Makes about 600 characters."""
GROUPS = tuple(f"group-{i}" for i in range(8))
ASKER = GROUPS[:3]
"""With a fifth of the documents for everyone and the rest for one group each, they may read half."""
QUERIES = 200
OPENINGS = 7
CLUSTERS = 500
VOCABULARY = 30_000

_COMMON = (
    "the of and to a in for is that be it with as on are by this not or have from at an will if they their there was "
    "no but can which you your we all must may when how what who do does should where about after before only"
)
_OFFICE = (
    "employee manager office leave request policy days approval form report system access account password device "
    "laptop network travel expense claim invoice payment budget supplier contract order delivery meeting room visitor "
    "badge security incident data customer project team training review salary bonus pension insurance holiday "
    "sickness doctor certificate onboarding handover document folder share backup software licence update printer "
    "phone number card receipt limit currency hotel flight train mileage parking canteen kitchen desk chair monitor "
    "keyboard headset support ticket priority response deadline month quarter year week hour morning country city "
    "region department finance legal marketing engineering sales procurement audit risk privacy retention deletion "
    "encryption certificate authentication vpn gateway server database deployment release rollback monitoring alert"
)
COMMON, OFFICE = tuple(_COMMON.split()), tuple(_OFFICE.split())
QUESTIONS = (
    "How do I {} the {} for a {}?",
    "What is the {} when my {} has no {}?",
    "Who approves a {} {} after the {}?",
    "where can i find the {} for {}",
    "I lost my {}. What must I do about the {} and the {}?",
    "{} {} {}",
    "May we keep {} from a {} longer than the {} {}?",
)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of single searches."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        """Percentiles of wall times in seconds."""
        p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
        return cls(round(float(p50), 2), round(float(p95), 2))


class _Remembered:
    """An embedder that has every question's vector ready, so that what remains is the search."""

    def __init__(self, inner: Embedder, questions: list[str]) -> None:
        self.id, self.backend, self.dimension, self.window = inner.id, inner.backend, inner.dimension, inner.window
        self.offsets = inner.offsets
        self._vectors = dict(zip(questions, inner.embed(questions), strict=True))

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        """Look the vectors up."""
        return np.stack([self._vectors[text] for text in texts])


def bench_search(chunks: int, embedder: Embedder) -> dict[str, Any]:
    """Build an index of `chunks` chunks, open it some times and search it 200 times; see the names of the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Workspace(Path(scratch)))
        begun = time.perf_counter()
        build(store, chunks, embedder)
        built = time.perf_counter() - begun
        opening = [_time(lambda: store.open().table.close()) for _ in range(OPENINGS)]
        questions = make_questions(QUERIES)
        embedder.embed(questions[:1])  # the weights load before the clock runs
        embedding = [_time(lambda text=text: embedder.embed([text])) for text in questions]
        first, whole, readable = _search(store, embedder, questions)
        _, bare, _ = _search(store, _Remembered(embedder, questions), questions)
        size = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    searches, alone, vectors = Latency.of(whole), Latency.of(bare), Latency.of(embedding)
    return {
        "chunks": chunks,
        "readable": round(readable, 3),
        "index_mb": round(size / 2**20, 1),
        "build_s": round(built, 1),
        "open_s": round(float(np.median(opening)), 3),
        "first_ms": round(first * 1000, 1),
        "p50_ms": searches.p50,
        "p95_ms": searches.p95,
        "without_embedding_p50_ms": alone.p50,
        "without_embedding_p95_ms": alone.p95,
        "embedding_p50_ms": vectors.p50,
        "embedding_p95_ms": vectors.p95,
    }


def _time(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _search(store: Store, embedder: Embedder, questions: list[str]) -> tuple[float, list[float], float]:
    """Seconds of the first search by an asker, of the others, and the share of chunks that the asker may read."""
    searcher = Searcher(store, embedder, RetrievalSettings())
    generation = searcher.open()
    first = _time(lambda: searcher.search(questions[0], groups=ASKER))
    rest = [_time(lambda text=text: searcher.search(text, groups=ASKER)) for text in questions]
    readable = len(generation.table.readable_rows(frozenset({*ASKER, EVERYONE})))
    generation.table.close()
    return first, rest, readable / generation.manifest.chunks


def build(store: Store, chunks: int, embedder: Embedder) -> None:
    """Publish a generation of made-up documents for 8 groups and everyone."""
    rng = np.random.default_rng(0)
    recipe = Recipe(embedder.id, embedder.dimension, 192, PARSERS)
    texts = make_texts(chunks, rng)
    with store.next_generation(recipe) as draft:
        rows = _fill(draft, texts, rng)
        for begin in range(0, chunks, 10_000):
            some = rows[begin : begin + 10_000]
            draft.dense.add(np.array(some), make_vectors(len(some), embedder.dimension, rng))


def _fill(draft: Draft, texts: Iterator[str], rng: np.random.Generator) -> list[int]:
    rows: list[int] = []
    lexical: list[LexicalRow] = []
    number = 0
    while some := [text for _, text in zip(range(CHUNKS_A_DOCUMENT), texts, strict=False)]:
        access = frozenset({EVERYONE if rng.random() < 0.2 else GROUPS[number % len(GROUPS)]})
        doc, title = f"folder-{number % 40}/document-{number}.md", f"Document {number}"
        document, cut = _document(doc, title, some, access)
        added = draft.table.put(document, cut)[1]
        texts_in = [embedded_text(title, one.heading, one.text) for one in cut]
        lexical += [LexicalRow(row, text, access) for row, text in zip(added, texts_in, strict=True)]
        rows += added
        number += 1
    draft.lexical.update((), lexical)
    return rows


def _document(doc: str, title: str, texts: list[str], access: frozenset[str]) -> tuple[DocumentRow, list[Chunk]]:
    chunks, start = [], 0
    for i, text in enumerate(texts):
        heading = f"{title} › Section {i // 5 + 1}"
        chunks.append(Chunk(chunk_id(doc, text, i), doc, title, heading, None, start, start + len(text), text, access))
        start += len(text) + 2
    path = Path("/synthetic") / doc
    row = DocumentRow(path, Path("/synthetic"), doc, title, f"{start:064x}", access, None, "\n\n".join(texts))
    return row, chunks


def make_vectors(count: int, dimension: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Random unit vectors around `CLUSTERS` centres, shape (count, dimension)."""
    centres = np.random.default_rng(1).standard_normal((CLUSTERS, dimension), dtype=np.float32)
    vectors = rng.standard_normal((count, dimension), dtype=np.float32) + centres[rng.integers(0, CLUSTERS, count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def make_words(rng: np.random.Generator) -> list[str]:
    """`VOCABULARY` words, the most frequent first: English function words, office words, then invented ones."""
    syllables = [c + v for c in "bcdfghklmnprstvw" for v in "aeiou"]
    lengths = rng.integers(2, 5, VOCABULARY)
    parts = rng.integers(0, len(syllables), (VOCABULARY, 4))
    invented = ("".join(syllables[i] for i in row[:n]) for row, n in zip(parts, lengths, strict=True))
    return list(dict.fromkeys((*COMMON, *OFFICE, *invented)))


def make_texts(count: int, rng: np.random.Generator) -> Iterator[str]:
    """Yield passages of about 600 characters with word frequencies by Zipf and Mandelbrot."""
    words = np.array(make_words(np.random.default_rng(2)), dtype=object)
    weights = 1 / (np.arange(len(words)) + 2.7)
    steps = np.cumsum(weights / weights.sum())
    for begin in range(0, count, 2000):
        size = min(2000, count - begin)
        draws = np.minimum(np.searchsorted(steps, rng.random((size, WORDS_A_CHUNK))), len(words) - 1)
        for line in draws:
            yield " ".join(words[line]) + "."


def make_questions(count: int) -> list[str]:
    """Questions in office words, which are frequent and thus slow to search, with a rare word in every third."""
    rng = np.random.default_rng(3)
    words = make_words(np.random.default_rng(2))
    rare = words[len(COMMON) + len(OFFICE) :]
    questions = []
    for i in range(count):
        pattern = QUESTIONS[i % len(QUESTIONS)]
        chosen = [OFFICE[j] for j in rng.integers(0, len(OFFICE), pattern.count("{}"))]
        if i % 3 == 0:
            chosen[-1] = rare[int(rng.integers(0, len(rare)))]
        questions.append(pattern.format(*chosen))
    return questions
