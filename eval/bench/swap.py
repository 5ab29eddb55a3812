"""Switching adapters measured, and what an answer costs under one: copied matrices against PEFT's layers.

Two adapters are made up for it: rank 16 on every linear layer but the last, small random numbers.
"""

import itertools
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from app.console import track
from finetune.adapters.card import CONFIG, WEIGHTS, Adapter, Card
from finetune.adapters.lora import key
from finetune.adapters.registry import Registry
from finetune.template import Turn, encode

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from app.desk import Desk
    from finetune.model import LoadedBase

SWAPS = 60
TOKENS = 24
ROUNDS = 5
RANK, ALPHA = 16, 32
QUESTION = "Annual leave is 25 days a year, of which 5 may be carried over. " * 30 + "What must be known of leave?"
Row = dict[str, Any]


def bench_swap(desk: "Desk") -> list[Row]:
    """Switch between two adapters and the base, and write tokens under each, in every way of keeping adapters.

    Returns:
        A row for each way, and one for loading the base anew. Times in milliseconds; `first_ms` brings an adapter in,
        with hashes and probe; `token_ratio` is the time of a token under an adapter through one of the base.
    """
    from finetune.adapters.adapter import Copies, Layers
    from finetune.model import load_base, pick_base

    base = pick_base(desk.settings.model)
    loads, rows = [], []
    with TemporaryDirectory() as folder:
        for name, ways in (("copies", Copies), ("PEFT's layers", Layers)):
            begun = time.perf_counter()
            loaded = load_base(base, desk.settings.models_folder)
            loads.append((time.perf_counter() - begun) * 1000)
            registry = Registry(Path(folder, name))
            pair = [make_adapter(registry, loaded, seed) for seed in (1, 2)]
            rows.append({"name": name, **_measure(loaded, pair, ways, name)})
    empty = dict.fromkeys(rows[0])
    return [*rows, {**empty, "name": "the base anew", "swaps": len(loads), "swap_ms_p50": round(min(loads), 1)}]


def _measure(loaded: "LoadedBase", pair: list[Adapter], ways: Any, label: str) -> Row:
    from finetune.adapters.adapter import Adapters

    prompt = encode(loaded.tokenizer, [Turn(role="user", content=QUESTION)])
    adapters = Adapters(loaded.model, loaded.name, prompt[:32], ways)
    first = [_timed(lambda adapter=adapter: adapters.use(adapter)) for adapter in pair]
    order = list(itertools.islice(itertools.cycle([pair[0], None, pair[1], pair[0], pair[1], None]), SWAPS))
    swaps = [_timed(lambda one=one: adapters.use(one)) for one in track(order, f"Switching, {label}")]
    alone: list[float] = []
    under: list[float] = []
    for _ in track(range(ROUNDS), f"Writing, {label}"):
        for adapter, times in ((None, alone), (pair[0], under)):
            adapters.use(adapter)
            times.append(_token_ms(loaded.model, prompt))
    return {
        "first_ms": round(min(first), 1),
        "swaps": len(swaps),
        "swap_ms_p50": round(float(np.percentile(swaps, 50)), 2),
        "swap_ms_p95": round(float(np.percentile(swaps, 95)), 2),
        "swap_ms_max": round(max(swaps), 2),
        "token_ms_base": round(min(alone), 2),
        "token_ms_adapter": round(min(under), 2),
        "token_ratio": round(float(np.median(np.divide(under, alone))), 2),
    }


def _token_ms(model: "PreTrainedModel", prompt: list[int]) -> float:
    """Milliseconds for a token of an answer, none of them guessed."""
    from app.models.decode import Decoder

    tokens = Decoder(model, frozenset(), draft_tokens=0).stream(prompt, TOKENS + 1)
    next(tokens)
    begun = time.perf_counter()
    count = sum(1 for _ in tokens)
    return (time.perf_counter() - begun) * 1000 / count


def _timed(what: Any) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


def make_adapter(registry: Registry, loaded: "LoadedBase", seed: int) -> Adapter:
    """Publish a random adapter for a base."""
    import torch
    from safetensors.torch import save_file

    from finetune.adapters.adapter import identity

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    head = loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    for name, module in loaded.model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            for part, shape in (("A", (RANK, module.in_features)), ("B", (module.out_features, RANK))):
                tensors[key(name, part)] = torch.randn(shape, generator=generator) * (0.05 if part == "A" else 0.003)
    with TemporaryDirectory() as folder:
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
        config["target_modules"] = sorted({name.split(".")[-3] for name in tensors})
        Path(folder, CONFIG).write_text(json.dumps(config))
        save_file(tensors, Path(folder, WEIGHTS))
        card = Card(loaded.name, identity(loaded.model), "", "", {}, (("everyone",),))
        return registry.publish("bench", Path(folder), card)
