"""The forward pass of BERT sentence encoders with mean pooling, such as the embedded all-MiniLM-L6-v2.

sentence-transformers computes the same vectors (a test compares them), but importing it takes 7 s on 2 cores where
PyTorch alone takes 1.3 s: too long for a search that takes 10 ms. Every other kind of model goes through the library.

Source of the architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; of the pooling: Reimers and
Gurevych 2019, https://arxiv.org/abs/1908.10084.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

ALONE_TOKENS = 64
"""Padded tokens up to which a batch (one question) is computed by one core. Where another process has work for a core,
two wait for each other, spinning: p50 77 ms (p95 581) against 24 (61) on two busy cores. On idle ones the difference
has not been measured."""


def is_mean_pooled_bert(folder: Path) -> bool:
    """Whether a sentence-transformers folder holds just BERT, mean pooling and normalisation."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        others = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on is True]
        model_type, activation = config.get("model_type"), config.get("hidden_act")
    except (OSError, ValueError, AttributeError, TypeError, KeyError):  # not what such files hold
        return False
    return (
        model_type == "bert"
        and activation == "gelu"
        and kinds == ["Transformer", "Pooling", "Normalize"]
        and others == ["pooling_mode_mean_tokens"]
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    """One transformer layer's weights as (weight, bias) pairs; query, key and value in one matrix."""

    qkv: tuple[torch.Tensor, torch.Tensor]
    attended: tuple[torch.Tensor, torch.Tensor]
    attended_norm: tuple[torch.Tensor, torch.Tensor]
    up: tuple[torch.Tensor, torch.Tensor]
    down: tuple[torch.Tensor, torch.Tensor]
    down_norm: tuple[torch.Tensor, torch.Tensor]


class BertEncoder:
    """Encodes token ids to unit vectors."""

    def __init__(self, folder: Path, dtype: str) -> None:
        """Load `config.json` and `model.safetensors` of `folder`; compute in `dtype`, a torch dtype's name."""
        config = json.loads((folder / "config.json").read_text("utf-8"))
        weights = {
            name.removeprefix("bert."): tensor.to(getattr(torch, dtype))
            for name, tensor in load_file(folder / "model.safetensors").items()
            if tensor.is_floating_point()
        }

        def pair(name: str) -> tuple[torch.Tensor, torch.Tensor]:
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        def layer(name: str) -> _Layer:
            parts = [pair(f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
            return _Layer(
                qkv=(torch.cat([weight for weight, _ in parts]), torch.cat([bias for _, bias in parts])),
                attended=pair(f"{name}.attention.output.dense"),
                attended_norm=pair(f"{name}.attention.output.LayerNorm"),
                up=pair(f"{name}.intermediate.dense"),
                down=pair(f"{name}.output.dense"),
                down_norm=pair(f"{name}.output.LayerNorm"),
            )

        self._heads = int(config["num_attention_heads"])
        self._eps = float(config["layer_norm_eps"])
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every token is of type 0, so its vector is a constant that can be added to the positions once.
        types = weights["embeddings.token_type_embeddings.weight"][0]
        self._positions = weights["embeddings.position_embeddings.weight"] + types
        self._norm = pair("embeddings.LayerNorm")
        self._layers = [layer(f"encoder.layer.{i}") for i in range(config["num_hidden_layers"])]
        self._alone = _one_core_thread()

    def encode(self, ids: list[list[int]]) -> npt.NDArray[np.float32]:
        """Encode a batch of token id lists, special tokens included, to unit vectors of shape (texts, hidden)."""
        if len(ids) * max(map(len, ids)) <= ALONE_TOKENS:
            return self._alone.submit(self._encode, ids).result()
        return self._encode(ids)

    @torch.inference_mode()
    def _encode(self, ids: list[list[int]]) -> npt.NDArray[np.float32]:
        longest = max(map(len, ids))
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        for row, one in zip(tokens, ids, strict=True):
            row[: len(one)] = torch.tensor(one)
        lengths = torch.tensor([len(one) for one in ids])
        real = torch.arange(longest) < lengths[:, None]
        mask = None if bool(real.all()) else real[:, None, None, :]
        x = self._layer_norm(F.embedding(tokens, self._words) + self._positions[:longest], self._norm)
        for layer in self._layers:
            x = self._forward(x, layer, mask)
        weight = real[..., None]
        pooled = (x.float() * weight).sum(1) / lengths[:, None]
        vectors: npt.NDArray[np.float32] = F.normalize(pooled, dim=-1).numpy()
        return vectors

    def _forward(self, x: torch.Tensor, layer: _Layer, mask: torch.Tensor | None) -> torch.Tensor:
        batch, length, hidden = x.shape
        qkv = F.linear(x, *layer.qkv).view(batch, length, 3, self._heads, hidden // self._heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(batch, length, hidden)
        x = self._layer_norm(x + F.linear(attended, *layer.attended), layer.attended_norm)
        return self._layer_norm(x + F.linear(F.gelu(F.linear(x, *layer.up)), *layer.down), layer.down_norm)

    def _layer_norm(self, x: torch.Tensor, weights: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return F.layer_norm(x, (x.shape[-1],), *weights, self._eps)


def _one_core_thread() -> ThreadPoolExecutor:
    """A thread in which PyTorch computes with one core, while all others keep what they have.

    The number of cores belongs to the thread that sets it; but it is also what threads begin with that first compute
    later, so it is set back at once.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="embed-one")
    cores = thread.submit(torch.get_num_threads).result()
    thread.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(cores)
    return thread
