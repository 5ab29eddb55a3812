"""Our forward pass against sentence-transformers, on the real model."""

import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.bert import is_mean_pooled_bert
from retrieval.embed import SentenceEmbedder

SAMPLE = Path(__file__).parent.parent / "data" / "sample"

TEXTS = [
    "How many days of annual leave do I have?",
    "x",
    "Übung macht den Meister — naïve café, 休暇は25日です 🏖️",
    "PIN 4471; port 4500/udp; profile Brightwater-443!",
    " ".join(["word"] * 253),
    "\u0000\u200b ",
    "unaffable " * 60,
]
OVERLONG = ["the leave policy of this office " * 200, "é, " * 300, "a" * 5000 + " tail " * 300]


@pytest.fixture(scope="module")
def minilm(models: Path) -> Path:
    return models / "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def reference(minilm: Path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm), local_files_only=True)
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def texts() -> list[str]:
    documents = [path.read_text() for path in sorted(SAMPLE.rglob("*.md"))[:6]]
    return TEXTS + [text[i : i + 700] for text in documents for i in range(0, 2800, 700)]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.9999), ("bfloat16", 0.999)])
def test_vectors_are_those_of_sentence_transformers(minilm: Path, reference, dtype: str, least: float) -> None:
    embedder = SentenceEmbedder(minilm, "MiniLM", dtype=dtype)
    vectors = embedder.embed(texts())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * reference(texts())).sum(axis=1)
    assert cosines.min() > least


@pytest.mark.slow
def test_texts_over_the_window_are_cut_where_sentence_transformers_cuts_them(minilm: Path, reference) -> None:
    embedder = SentenceEmbedder(minilm, "MiniLM", dtype="float32")
    assert embedder.window == 254
    assert all(len(embedder.offsets(text)) > embedder.window for text in OVERLONG)
    cosines = (embedder.embed(OVERLONG) * reference(OVERLONG)).sum(axis=1)
    assert cosines.min() > 0.9999


@pytest.mark.slow
def test_a_text_has_one_vector_whatever_stands_beside_it(minilm: Path) -> None:
    embedder = SentenceEmbedder(minilm, "MiniLM", dtype="float32", batch_tokens=512)
    together = embedder.embed(texts())
    alone = np.concatenate([embedder.embed([text]) for text in texts()])
    assert (together * alone).sum(axis=1).min() > 0.99999


def model_folder(folder: Path, **changes: object) -> Path:
    """The description of a mean-pooled BERT, with changes."""
    (folder / "1_Pooling").mkdir()
    modules = ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]
    modules.append("sentence_transformers.models.Normalize")
    parts = {
        "config.json": {"model_type": "bert", "hidden_act": "gelu"},
        "modules.json": [{"type": name} for name in modules],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
    }
    for name, content in (parts | changes).items():
        (folder / name).write_text(json.dumps(content))
    return folder


def test_a_mean_pooled_bert_is_known_by_its_description(tmp_path: Path) -> None:
    assert is_mean_pooled_bert(model_folder(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"config.json": {"model_type": "mpnet", "hidden_act": "gelu"}},
        {"config.json": {"model_type": "bert", "hidden_act": "relu"}},
        {"modules.json": [{"type": "a.Transformer"}, {"type": "a.Pooling"}]},
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}},
    ],
)
def test_every_other_kind_of_model_goes_through_the_library(tmp_path: Path, changes: dict) -> None:
    assert not is_mean_pooled_bert(model_folder(tmp_path, **changes))


def test_a_folder_without_a_description_goes_through_the_library(tmp_path: Path) -> None:
    assert not is_mean_pooled_bert(tmp_path)
