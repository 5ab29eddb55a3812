"""What is checked before a weight loads: rows against the tokenizer, the base, memory and disk.

A run that cannot succeed says so in a second, not after an hour. Loads a tokenizer and a configuration, no weight.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.curation.rows import Row
from finetune.model import Base, fetch_smollm2, pick_base
from finetune.template import ChatTemplate, adopt_template, encode, encode_completion, stop_ids
from finetune.training.packing import Group, Sample, group_samples, pack_groups
from finetune.training.recipe import Recipe
from ingest.embedded import SMOLLM2, verify
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GIB = 1 << 30
KEPT_CHECKPOINTS = 3
"""On disk at once: the best, the last, and the one that is being written."""


@dataclass(frozen=True, slots=True)
class Data:
    """What is tuned on, and what chooses the checkpoint."""

    train: Sequence[Row]
    held_out: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a model: parameters in all, in its linear layers without the head, in what is tuned; and its shape."""

    parameters: int
    linear: int
    tuned: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    context: int


@dataclass(frozen=True, slots=True)
class Memory:
    """An estimate, in bytes: the base's weights; what is tuned with gradients and moments; one pack on its way."""

    weights: int
    tuned: int
    activations: int
    free: int

    @property
    def needed(self) -> int:
        """All of it."""
        return self.weights + self.tuned + self.activations


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that may begin: rows as token ids in groups, and what was found out on the way."""

    recipe: Recipe
    base: Base
    train: list[Group]
    held_out: list[Group]
    rows: int
    left_out: int
    sizes: Sizes
    memory: Memory

    @property
    def fingerprint(self) -> str:
        """Tells the rows, as they will be read, from others."""
        ids = [[(one.prompt, one.completion) for one in group.samples] for group in (*self.train, *self.held_out)]
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def prepare(recipe: Recipe, data: Data, models_dir: Path, work: Path) -> Prepared:
    """Check everything that can be checked without weights.

    Args:
        recipe: from `load_recipe`.
        data: rows from `read_rows`.
        models_dir: where the embedded models lie; the chat model is fetched there where it is the base.
        work: where checkpoints will be written.

    Raises:
        DeskmateError: the base is not there, its chat template cannot be trained, no row fits into the context, or
            memory or disk will not do.
    """
    base = pick_base(recipe.model)
    if base.folder is None:
        fetch_smollm2(models_dir)
    folder = base.folder or verify(SMOLLM2, models_dir)
    sizes = _sizes(folder, recipe)
    tokenizer, template = _tokenizer(folder, base.name)
    context = min(recipe.context, sizes.context)
    train = encode_rows(tokenizer, template, data.train)
    held_out = encode_rows(tokenizer, template, data.held_out)
    groups, holding = (
        group_samples([s for s in samples if len(s) <= context], recipe.pack_tokens, recipe.batch_rows)
        for samples in (train, held_out)
    )
    if not groups:
        raise DeskmateError(
            f"no training row fits into {context} tokens; set a larger context in the recipe, or fewer passages "
            "(chat.passages) and run deskmate synth again"
        )
    rows, kept = (sum(len(group.samples) for group in some) for some in (groups, holding))
    holding = spread(holding, recipe.held_out_rows)
    memory = estimate(recipe, base, sizes, [*groups, *holding])
    _check_memory(recipe, memory, base.device)
    _check_disk(recipe, sizes, work)
    left_out = len(train) + len(held_out) - rows - kept
    return Prepared(recipe, base, groups, holding, rows, left_out, sizes, memory)


def encode_rows(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate, rows: Sequence[Row]) -> list[Sample]:
    """Rows as token ids. Control tokens that texts spell out are broken up on the way (`finetune.template`).

    Raises:
        DeskmateError: an answer would not end with a token that ends generation.
    """
    stops = stop_ids(tokenizer, template)
    samples = []
    for row in rows:
        sample = Sample(
            tuple(encode(tokenizer, row.prompt)), tuple(encode_completion(tokenizer, row.prompt, row.answer))
        )
        if len(sample.completion) < 2 or sample.completion[-1] not in stops:
            raise DeskmateError(
                f"the chat template {template.name} does not end the answer of row {row.id} with a stop token, so a "
                "tuned model would never stop; choose another base"
            )
        samples.append(sample)
    return samples


def spread(groups: Sequence[Group], rows: int) -> list[Group]:
    """Groups with at most `rows` rows in all, but one at least where there is one, evenly drawn."""
    if not groups:
        return []
    total = sum(len(group.samples) for group in groups)
    count = max(1, len(groups) * min(rows, total) // total)
    return [groups[n * len(groups) // count] for n in range(count)]


def estimate(recipe: Recipe, base: Base, sizes: Sizes, groups: Sequence[Group]) -> Memory:
    """What tuning will take, as far as it can be told beforehand; rather too little than too much.

    Tuned weights are float32 with a gradient and Adam's two moments: 16 bytes each. A layer keeps for going back about
    12 vectors of the hidden and 4 of the intermediate width for each token (measured on SmolLM2), and on a processor
    the weights of attention.
    """
    bytes_each = 2 if base.dtype == "bfloat16" else 4
    plain = sizes.parameters - (sizes.tuned if recipe.method == "full" else 0)
    weights = plain * bytes_each
    if recipe.method == "qlora":
        weights -= int(sizes.linear * (bytes_each - 0.52))  # 4 bits, and 8 for each 64 weights twice quantized
    packs = pack_groups(groups, recipe.pack_tokens)
    tokens, targets = max(pack.tokens for pack in packs), max(pack.targets for pack in packs)
    longest = max(group.tokens for group in groups)
    layer = tokens * (12 * sizes.hidden + 4 * sizes.intermediate) * bytes_each
    if base.device == "cpu":
        layer += tokens * longest * sizes.heads * bytes_each // 2
    kept = tokens * sizes.hidden * bytes_each * sizes.layers + layer if recipe.checkpointing else layer * sizes.layers
    activations = kept + targets * sizes.vocabulary * (2 * 4 + bytes_each)
    return Memory(weights, sizes.tuned * 16, activations, _free_memory(base.device))


def _sizes(folder: Path, recipe: Recipe) -> Sizes:
    """Count a model's weights from its configuration, without one of them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeskmateError(f"the model in {folder} cannot be tuned: {line}") from error
    head = model.get_output_embeddings()
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    adapted = _adapted(recipe, linear)
    parameters = sum(p.numel() for p in model.parameters())
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) or text.max_position_embeddings
    return Sizes(
        parameters=parameters,
        linear=sum(module.weight.numel() for module in linear.values()),
        tuned=parameters
        if recipe.method == "full"
        else sum(recipe.lora.rank * (module.in_features + module.out_features) for module in adapted),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        vocabulary=text.vocab_size,
        context=min(text.max_position_embeddings, window),
    )


def _adapted(recipe: Recipe, linear: dict[str, Any]) -> list[Any]:
    """The layers that get an adapter."""
    wanted = recipe.lora.layers
    if wanted == "all-linear" or recipe.method == "full":
        return list(linear.values())
    names = {name.rpartition(".")[2] for name in linear}
    if unknown := sorted(set(wanted) - names):
        raise DeskmateError(
            f"the base has no linear layer {', '.join(unknown)}; lora.layers may name {', '.join(sorted(names))}"
        )
    return [module for name, module in linear.items() if name.rpartition(".")[2] in wanted]


def _tokenizer(folder: Path, name: str) -> "tuple[PreTrainedTokenizerBase, ChatTemplate]":
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeskmateError(f"cannot load the tokenizer of {name} from {folder}: {line}") from error
    return tokenizer, adopt_template(tokenizer, name)


def _free_memory(device: str) -> int:
    import torch

    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    import psutil

    free: int = psutil.virtual_memory().available
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():  # a container's own limit
        free = min(free, int(text) - int(used.read_text()))
    return free


def _check_memory(recipe: Recipe, memory: Memory, device: str) -> None:
    if memory.needed <= memory.free:
        return
    ways = [] if recipe.checkpointing else ["checkpointing = true"]
    ways += [] if recipe.method == "qlora" else ['method = "qlora"']
    parts = ", ".join(
        f"{value / GIB:.1f} for {what}"
        for what, value in (
            ("the base", memory.weights),
            ("what is tuned", memory.tuned),
            ("activations", memory.activations),
        )
    )
    where = "the GPU's memory" if device == "cuda" else "memory"
    raise DeskmateError(
        f"tuning needs at least {memory.needed / GIB:.1f} GiB ({parts}), and {memory.free / GIB:.1f} GiB of {where} "
        f"are free; in the recipe, set {', '.join([*ways, 'smaller pack_tokens and context'])}, or take a smaller base"
    )


def _check_disk(recipe: Recipe, sizes: Sizes, work: Path) -> None:
    needed = sizes.tuned * 12 * KEPT_CHECKPOINTS + sizes.tuned * 2  # weights and moments; the adapter at the end
    there = next(folder for folder in (work, *work.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DeskmateError(
            f"checkpoints need {needed / GIB:.1f} GiB in {work}, and {free / GIB:.1f} GiB are free there; free some "
            "disk, or set DESKMATE_HOME to a folder on a larger one"
        )
