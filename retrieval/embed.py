"""Texts to vectors: the sentence-transformers embedder, its fake, and the cache in front of either.

Knows nothing of documents or indexes.
"""

import hashlib
import json
import math
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension), one unit-length row a text."""

OnBatch = Callable[[int], None]
"""Told how many more texts are embedded after each batch."""


class Embedder(Protocol):
    """Turns texts into unit vectors.

    `id` names the model: vectors of different ids don't compare. `backend` names the arithmetic, which changes
    vectors in the last digits only. `window` is the most tokens read of a text, special tokens not counted.
    """

    id: str
    backend: str
    dimension: int
    window: int

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The character span of every token of `text`, special tokens left out, nothing truncated."""

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        """Embed texts, rows in the order of `texts`."""


class HashingEmbedder:
    """A fake without weights: hashed words and letter trigrams. Finds shared words, understands nothing."""

    id = "hashing-256"
    backend = "float32"
    dimension = 256
    window = 254

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Words and single signs count as tokens."""
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        """Embed texts by feature hashing, shape (texts, 256)."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                for feature in (word, *(word[i : i + 3] for i in range(len(word) - 2))):
                    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                    row[digest[0]] += 1.0 if digest[1] & 1 else -1.0
        if on_batch:
            on_batch(len(texts))
        rows[~rows.any(axis=1), 0] = 1.0  # a text without words is as near to all others as any
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


class SentenceEmbedder:
    """A sentence-transformers model. The tokenizer loads at once, the weights with the first text."""

    def __init__(self, folder: Path, name: str, *, dtype: str = "auto", batch_tokens: int = 2048) -> None:
        """Read the model's description.

        Args:
            folder: where the model lies; only its safetensors are loaded.
            name: what to call it in ids and manifests.
            dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor computes in it.
            batch_tokens: tokens in one batch, padding counted.
        """
        self._folder = folder
        self._dtype = _native_dtype() if dtype == "auto" else dtype
        self._batch_tokens = batch_tokens
        self._encode: Encode | None = None
        self._tokenizer = _load_tokenizer(folder)
        config = _read_json(folder / "config.json")
        self.dimension = int(config["hidden_size"])
        self.id = f"{name}@{_fingerprint(folder)}"
        self.backend = self._dtype
        limit = (
            _read_json(folder / "sentence_bert_config.json").get("max_seq_length") or config["max_position_embeddings"]
        )
        self.window = int(limit) - self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The character span of every token of `text`."""
        offsets: Sequence[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def load(self) -> None:
        """Bring the weights in, once."""
        if self._encode is None:
            self._encode = _load_encoder(self._folder, self._dtype, self.window)

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        """Embed texts in batches of similar length, shape (texts, dimension); what is over the window is cut off."""
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if not texts:
            return out
        self.load()
        assert self._encode is not None
        encodings = self._tokenizer.encode_batch(list(texts))
        lengths = [min(len(encoding.ids), self.window + 2) for encoding in encodings]
        for batch in _batches(lengths, self._batch_tokens):
            out[batch] = self._encode([texts[i] for i in batch], [encodings[i].ids for i in batch])
            if on_batch:
                on_batch(len(batch))
        return out


Encode = Callable[[list[str], list[list[int]]], Vectors]
"""Encodes a batch, given both as texts and as token ids with special tokens, to unit vectors."""


def _load_encoder(folder: Path, dtype: str, window: int) -> Encode:
    """Our own forward pass for mean-pooled BERT, sentence-transformers for everything else (see `retrieval.bert`)."""
    from retrieval.bert import BertEncoder, is_mean_pooled_bert

    if is_mean_pooled_bert(folder):
        bert = BertEncoder(folder, dtype)
        # A text over the window keeps its closing [SEP], as the library's truncation does.
        return lambda _, ids: bert.encode(
            [row if len(row) <= window + 2 else row[: window + 1] + row[-1:] for row in ids]
        )
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(folder),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"dtype": getattr(torch, dtype), "use_safetensors": True},
    )

    def encode(texts: list[str], _: list[list[int]]) -> Vectors:
        rows = model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True)
        vectors = rows.float().cpu().numpy()
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit

    return encode


def _batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices grouped so that texts of a batch have similar length and its padded size stays within `batch_tokens`."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    batches: list[list[int]] = []
    for i in order:
        # Sorted upwards, so text i is the longest of its batch and sets the padded length of all.
        if batches and (len(batches[-1]) + 1) * lengths[i] <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _fingerprint(folder: Path) -> str:
    """Tell models of one name apart, cheaply: 8 hexadecimal digits from the weights' size, beginning and end."""
    digest = hashlib.sha256()
    try:
        with open(folder / "model.safetensors", "rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8, "little"))
            for position in (0, max(0, size - 2**20)):
                file.seek(position)
                digest.update(file.read(2**20))
    except OSError as error:
        raise DeskmateError(
            f"{folder} has no model.safetensors ({error.strerror}); only safetensors are loaded"
        ) from error
    return digest.hexdigest()[:8]


def _native_dtype() -> str:
    """bfloat16 where the processor (or a GPU) multiplies in it, else float32.

    Measured on 2 cores with AVX512-BF16: 1.9 times the texts per second of float32, cosine to it at least 0.9998.
    Without that instruction set bfloat16 is emulated and slower than float32.
    """
    flags = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    return "bfloat16" if re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) else "float32"


def _load_tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:
        raise DeskmateError(
            f"{folder}/tokenizer.json cannot be read ({error}); remove the folder and run again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DeskmateError(
            f"{path} cannot be read ({error}); is {path.parent} a sentence-transformers model?"
        ) from error
    return data


class CachedEmbedder:
    """Remembers vectors by embedder and SHA-256 of the text, in SQLite. Deleting the file costs time, nothing else."""

    def __init__(self, inner: Embedder, path: Path) -> None:
        """Put a cache at `path` before `inner`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._inner = inner
        self.computed = 0
        self.id, self.backend, self.dimension, self.window = inner.id, inner.backend, inner.dimension, inner.window
        self._path = path
        try:
            self._db = _open_cache(path)
        except sqlite3.OperationalError:
            raise  # a full disk, say; every other error means a damaged file
        except sqlite3.DatabaseError:
            self._db = _fresh_cache(path)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The inner embedder's tokens."""
        return self._inner.offsets(text)

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        """Embed what is not remembered, remember it, and return all rows in the order of `texts`."""
        keys = [
            hashlib.sha256(f"{self.id}\0{self.backend}\0{text}".encode("utf-8", "surrogatepass")).digest()
            for text in texts
        ]
        known = self._lookup(keys)
        missing = [i for i, key in enumerate(keys) if key not in known]
        if on_batch and len(missing) < len(texts):
            on_batch(len(texts) - len(missing))
        fresh = self._inner.embed([texts[i] for i in missing], on_batch)
        self.computed += len(missing)
        with self._db:
            rows = ((keys[i], row.tobytes()) for i, row in zip(missing, fresh, strict=True))
            self._db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows)
        known.update((keys[i], row) for i, row in zip(missing, fresh, strict=True))
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, self.dimension), dtype=np.float32)

    def _lookup(self, keys: Sequence[bytes]) -> dict[bytes, npt.NDArray[np.float32]]:
        found: dict[bytes, npt.NDArray[np.float32]] = {}
        for key in keys:
            try:
                row = self._db.execute("SELECT value FROM vector WHERE key = ?", (key,)).fetchone()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._db.close()
                self._db = _fresh_cache(self._path)
                return {}
            if row and len(row[0]) == 4 * self.dimension:
                vector = np.frombuffer(row[0], dtype=np.float32)
                if math.isclose(float(vector @ vector), 1.0, rel_tol=1e-3):
                    found[key] = vector
        return found

    def close(self) -> None:
        """Close the cache's file."""
        self._db.close()


def _open_cache(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")  # a lost cache entry is computed again; a torn one fails its length
    db.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    return db


def _fresh_cache(path: Path) -> sqlite3.Connection:
    """An empty cache in place of one that is damaged."""
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        file.unlink(missing_ok=True)
    return _open_cache(path)
