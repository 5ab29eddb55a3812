"""Texts to vectors: the fake, the batches and the cache."""

import sqlite3
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import CountingEmbedder, OtherEmbedder

from ingest.errors import DeskmateError
from retrieval.embed import CachedEmbedder, HashingEmbedder, SentenceEmbedder, _batches

TEXTS = ["vpn error", "days of leave", "", "vpn error", "休暇", "x" * 5000]

texts = st.lists(st.text(st.characters(exclude_categories=[]), max_size=60), max_size=12)


# The fake


@given(texts)
def test_every_vector_of_the_fake_has_length_1_and_depends_on_its_own_text_only(texts) -> None:
    embedder = HashingEmbedder()
    vectors = embedder.embed(texts)
    assert vectors.shape == (len(texts), embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.array_equal(embedder.embed([text])[0], vector)


@given(st.text(max_size=200))
def test_the_fakes_tokens_are_spans_in_order(text) -> None:
    spans = HashingEmbedder().offsets(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = "".join(text[start:end] for start, end in spans)
    assert covered == "".join(text.split())


def test_texts_that_share_words_are_nearer() -> None:
    question, near, far = HashingEmbedder().embed(["carry over leave", "carry over five days of leave", "printer"])
    assert question @ near > question @ far + 0.3


# Batches


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(64, 4096))
def test_batches_hold_every_text_once_and_stay_within_their_size(lengths, most) -> None:
    batches = _batches(lengths, most)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= most


# The cache


@pytest.fixture
def inner() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "embeddings.db"


def embed(inner: HashingEmbedder, path: Path, texts: list[str]) -> tuple[np.ndarray, int]:
    cache = CachedEmbedder(inner, path)
    done: list[int] = []
    vectors = cache.embed(texts, done.append)
    assert sum(done) == len(texts), "progress reaches the total"
    cache.close()
    return vectors, cache.computed


def test_the_cache_gives_the_same_vectors_and_computes_nothing_twice(inner: CountingEmbedder, path: Path) -> None:
    plain = HashingEmbedder().embed(TEXTS)
    first, computed = embed(inner, path, TEXTS)
    assert np.array_equal(first, plain)
    assert computed == len(TEXTS)
    inner.texts.clear()
    again, computed = embed(inner, path, TEXTS[::-1])
    assert np.array_equal(again, plain[::-1])
    assert computed == 0
    assert inner.texts == []
    _, computed = embed(inner, path, ["new", *TEXTS])
    assert (computed, inner.texts) == (1, ["new"])
    assert embed(inner, path, [])[0].shape == (0, 256)


def test_another_model_or_arithmetic_has_vectors_of_its_own(inner: CountingEmbedder, path: Path) -> None:
    embed(inner, path, TEXTS)
    assert embed(OtherEmbedder(), path, TEXTS)[1] == len(TEXTS)
    inner.backend = "bfloat16"
    assert embed(inner, path, TEXTS)[1] == len(TEXTS)


@pytest.mark.parametrize(
    "value",
    [b"", b"\x00" * 1024, b"\xff" * 1024, np.full(256, 2, np.float32).tobytes(), b"short", b"\x00" * 2048],
    ids=["empty", "zeros", "not a number", "not of length 1", "short", "long"],
)
def test_a_corrupted_vector_is_computed_again(inner: CountingEmbedder, path: Path, value: bytes) -> None:
    plain, _ = embed(inner, path, TEXTS)
    with sqlite3.connect(path) as db:
        key = db.execute("SELECT key FROM vector").fetchone()
        db.execute("UPDATE vector SET value = ? WHERE key = ?", (value, *key))
    db.close()
    vectors, computed = embed(inner, path, TEXTS)
    assert np.array_equal(vectors, plain)
    assert 1 <= computed <= 2
    assert embed(inner, path, TEXTS)[1] == 0


@pytest.mark.parametrize("damage", ["no database", "torn pages"])
def test_a_damaged_cache_is_begun_anew(inner: CountingEmbedder, path: Path, damage: str) -> None:
    many = [f"text {n}" for n in range(200)]
    plain, _ = embed(inner, path, many)
    data = path.read_bytes()
    if damage == "no database":
        path.write_bytes(b"garbage" * 1000)
    else:
        path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    vectors, computed = embed(inner, path, many)
    assert np.array_equal(vectors, plain)
    assert computed == len(many)
    assert embed(inner, path, many)[1] == 0


# Real models: what is wrong with a folder is said


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match=r"tokenizer\.json cannot be read"):
        SentenceEmbedder(tmp_path, "none")


def test_weights_in_another_format_are_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DeskmateError, match=r"config\.json cannot be read .* is .* a sentence-transformers model\?"):
        SentenceEmbedder(tmp_path, "none")
    (tmp_path / "config.json").write_text('{"hidden_size": 8, "max_position_embeddings": 64}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(DeskmateError, match=r"has no model\.safetensors .*; only safetensors are loaded"):
        SentenceEmbedder(tmp_path, "none")
