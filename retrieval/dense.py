"""The dense index: exact inner-product search by FAISS, with deletion, over unit vectors (so: cosine).

Knows row numbers and vectors; knows nothing of texts or people.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from ingest.errors import DeskmateError

Rows = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

CORES = os.cpu_count() or 1

# FAISS believes the sizes that a file states and allocates them. A file of ours never needs more than this.
faiss.set_deserialization_loop_limit(1_000_000)
faiss.set_deserialization_vector_byte_limit(64 << 30)


class DenseIndex:
    """`IDMap2,Flat` with inner product. Rows are the chunk table's row ids."""

    def __init__(self, index: Any, data: Bytes | None = None) -> None:
        self._index = index
        self._data = data  # what a view looks into must live as long

    @classmethod
    def empty(cls, dimension: int) -> "DenseIndex":
        """An index without vectors."""
        return cls(faiss.index_factory(dimension, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT))

    @classmethod
    def read(cls, path: Path, dimension: int, count: int) -> "DenseIndex":
        """Read an index whose hash has been checked already.

        Raises:
            DeskmateError: when it is not what the manifest says: another type, dimension, metric or count.
        """
        return cls(_read(str(path), path, dimension, count))

    @classmethod
    def view(cls, data: Bytes, path: Path, dimension: int, count: int) -> "DenseIndex":
        """The same, for searching only, on the bytes of the file as they are in memory: nothing is copied.

        Raises:
            DeskmateError: as `read` does.
        """
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data))
        return cls(_read(reader, path, dimension, count), data)

    def write(self, path: Path) -> None:
        """Write the index through Python's own file, so that a full disk is an OSError and nothing worse."""
        with open(path, "wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: Rows, vectors: npt.NDArray[np.float32]) -> None:
        """Add unit vectors, shape (n, dimension), under `rows`, shape (n,)."""
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), rows.astype(np.int64))

    def remove(self, rows: Rows) -> None:
        """Remove what stands under `rows`."""
        self._index.remove_ids(rows.astype(np.int64))

    def search(self, vectors: npt.NDArray[np.float32], k: int, allowed: "Allowed | None" = None) -> list["Ranking"]:
        """The `k` nearest rows for each of the vectors, best first, among the allowed ones only.

        The selector is applied inside the scan: what is not allowed is never scored, so it cannot push anything out.
        """
        params = faiss.SearchParameters(sel=allowed.selector) if allowed else None
        # FAISS divides vectors among threads, so more threads than vectors only spin. The number is this thread's own.
        faiss.omp_set_num_threads(max(1, min(len(vectors), CORES)))
        scores, rows = self._index.search(np.ascontiguousarray(vectors), min(k, max(1, len(self))), params=params)
        return [
            [(int(r), float(s)) for r, s in zip(row, score, strict=True) if r >= 0]
            for row, score in zip(rows, scores, strict=True)
        ]

    def cosines(self, vector: npt.NDArray[np.float32], rows: Iterable[int]) -> dict[int, float]:
        """The cosine of one vector, shape (dimension,), with what stands under some rows."""
        return {row: float(self._index.reconstruct(row) @ vector) for row in rows}

    def spread(self, rows: Sequence[int]) -> "Spread":
        """How the vectors under some rows lie, from at most `SAMPLE` of them, evenly picked."""
        chosen = rows[:: -(-len(rows) // SAMPLE) or 1]
        picked = np.array([self._index.reconstruct(row) for row in chosen]).reshape(-1, self._index.d)
        share = len(picked) / (len(picked) + PRIOR)
        mean = picked.mean(axis=0) if len(picked) else np.zeros(self._index.d)
        centred = picked - mean
        covariance = centred.T @ centred / max(1, len(picked))
        return Spread(mean.astype(np.float64), covariance.astype(np.float64), share)


Ranking = list[tuple[int, float]]
"""(row, score), best first."""


SAMPLE = 4096
"""Vectors that tell how all of them lie."""

PRIOR = 100
USUAL = (0.16, 0.10)
"""A small index says little of itself: it is taken together with so many passages whose cosines have the mean and the
standard deviation that five collections have with their questions (.07 to .25, .10 to .12)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, shape (d,), and covariance, shape (d, d), of an index's vectors.

    `share` is what they count beside the prior.
    """

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    share: float

    def cosines(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Mean and standard deviation of each vector's cosines with the whole index, shape (vectors, 2)."""
        own = vectors @ self.mean
        variance = np.einsum("nd,de,ne->n", vectors, self.covariance, vectors)
        usual, deviation = USUAL
        mean = self.share * own + (1 - self.share) * usual
        # The variance of a mixture: within both parts, and between their means.
        between = self.share * (1 - self.share) * (own - usual) ** 2
        mixed = self.share * variance + (1 - self.share) * deviation**2 + between
        return np.column_stack([mean, np.sqrt(mixed)])


class Allowed:
    """A set of rows as FAISS wants it: a bitmap over row numbers."""

    def __init__(self, rows: Sequence[int]) -> None:
        bits = np.zeros(max(rows, default=0) + 1, dtype=bool)
        bits[list(rows)] = True
        self._bitmap = np.packbits(bits, bitorder="little")  # FAISS keeps a pointer: this must outlive the selector
        self.selector = faiss.IDSelectorBitmap(len(self._bitmap), faiss.swig_ptr(self._bitmap))


def _read(source: Any, path: Path, dimension: int, count: int) -> Any:
    try:
        index = faiss.read_index(source)
    except RuntimeError as error:
        raise DeskmateError(f"{path} is not a FAISS index ({_first_line(error)})") from error
    flat = faiss.downcast_index(getattr(index, "index", index))
    found = (type(index).__name__, type(flat).__name__, index.d, index.ntotal, index.metric_type)
    want = ("IndexIDMap2", "IndexFlatIP", dimension, count, faiss.METRIC_INNER_PRODUCT)
    if found not in (want, (want[0], "IndexFlat", *want[2:])):
        raise DeskmateError(f"{path} holds {found[:4]}, the manifest says {want[:4]}")
    return index


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
