"""Embedding measured: the library and our own forward pass, in float32 and bfloat16, on the same chunks in turn."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench.ingest import model_folder
from ingest.chunk import chunk
from ingest.errors import DeskmateError
from ingest.pool import parse_files
from ingest.records import EVERYONE
from ingest.scan import scan
from retrieval.embed import SentenceEmbedder, Vectors

if TYPE_CHECKING:
    from app.desk import Desk

TEXTS = 512
ROUNDS = 3
Row = dict[str, Any]


def bench_embed(desk: "Desk", folder: Path) -> list[Row]:
    """Embed up to 512 chunks of a folder's documents by every backend.

    Returns:
        Rows: texts a second (median over rounds, weights loaded before), the ratio to sentence-transformers in float32
        in the same run, and the smallest cosine of any text to float32's vector.

    Raises:
        DeskmateError: no sentence-transformers model, or no readable documents.
    """
    texts = sample(desk, folder, TEXTS)
    path = model_folder(desk)
    backends: dict[str, Callable[[Sequence[str]], Vectors]] = {
        "sentence-transformers float32": _library(path, "float32"),
        "sentence-transformers bfloat16": _library(path, "bfloat16"),
        "deskmate float32": SentenceEmbedder(path, "bench", dtype="float32").embed,
        "deskmate bfloat16": SentenceEmbedder(path, "bench", dtype="bfloat16").embed,
    }
    vectors = {name: embed(texts[:4]) for name, embed in backends.items()}
    seconds: dict[str, list[float]] = {name: [] for name in backends}
    for _ in range(ROUNDS):
        for name, embed in backends.items():
            begun = time.perf_counter()
            vectors[name] = embed(texts)
            seconds[name].append(time.perf_counter() - begun)
    base = "sentence-transformers float32"
    return [
        {
            "name": name,
            "texts": len(texts),
            "texts_per_s": round(len(texts) / float(np.median(times)), 1),
            "ratio": round(float(np.median(np.divide(seconds[base], times))), 2),
            "least_cosine": round(float((vectors[name] * vectors[base]).sum(axis=1).min()), 6),
        }
        for name, times in seconds.items()
    ]


def sample(desk: "Desk", folder: Path, count: int) -> list[str]:
    """Texts as they are embedded: chunks from all over a folder's documents.

    Raises:
        DeskmateError: no document can be read.
    """
    files = [(file.doc, file.path) for file in scan([folder], ()).files]
    settings = desk.settings.ingest
    texts = [
        one.embedded_text
        for outcome in parse_files(files, settings)
        if outcome.parsed is not None
        for one in chunk(
            outcome.parsed,
            outcome.key,
            frozenset({EVERYONE}),
            desk.embedder.offsets,
            chunk_tokens=settings.chunk_tokens,
            window=desk.embedder.window,
        )
    ]
    if not texts:
        raise DeskmateError(f"no document in {folder} can be read")
    texts.sort()  # workers finish in any order
    return [texts[i * len(texts) // count] for i in range(count)] if len(texts) > count else texts


def _library(path: Path, dtype: str) -> Callable[[Sequence[str]], Vectors]:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(path), local_files_only=True, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)}
    )

    def embed(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = model.encode(list(texts), convert_to_tensor=True).float().numpy()
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    return embed
