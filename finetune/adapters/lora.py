"""A LoRA's two files, read with distrust: what they claim is checked before anything is done with them.

Plain LoRA on linear layers is what training makes and what vLLM, PEFT and merging agree on; the rest is refused. Knows
the files' format; knows no model and no torch.
"""

import json
import math
import re
from dataclasses import dataclass

from safetensors import SafetensorError, deserialize

from ingest.errors import DeskmateError

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
_EXTRAS = (
    "use_dora", "lora_bias", "modules_to_save", "layer_replication", "trainable_token_indices", "target_parameters",
    "alora_invocation_tokens", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "use_qalora", "use_bdlora",
)  # fmt: skip
"""Options of PEFT that make an adapter more than plain LoRA, when they are set."""

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lora:
    """A checked LoRA: to the weight of each module, `scale * B @ A` is added.

    `modules` has the shape (out, in) of each such weight by the module's name in the base. `weights` is the file.
    """

    rank: int
    alpha: float
    rslora: bool
    modules: dict[str, Shape]
    weights: bytes

    @property
    def scale(self) -> float:
        """What the product is multiplied with (Hu et al., 2021; for rsLoRA Kalajdzievski, 2023)."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


def key(module: str, part: str) -> str:
    """The name of a module's A or B in the file."""
    return f"base_model.model.{module}.lora_{part}.weight"


def read_lora(config: bytes, weights: bytes) -> Lora:
    """Check the two files of an adapter.

    Args:
        config: `adapter_config.json`.
        weights: `adapter_model.safetensors`.

    Raises:
        DeskmateError: a pickle, no safetensors, another kind of adapter, or files that contradict each other.
    """
    rank, alpha, rslora = _read_config(config)
    shapes = _read_shapes(weights)
    modules: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        match = _KEY.fullmatch(name)
        if match is None or len(shape) != 2:
            raise DeskmateError(f"the tensor {name} is no part of a plain LoRA; tune again without extra options")
        modules.setdefault(match["module"], {})[match["part"]] = (shape[0], shape[1])
    if not modules:
        raise DeskmateError("the adapter holds no tensors; tune again")
    for module, parts in modules.items():
        if set(parts) != {"A", "B"}:
            raise DeskmateError(f"{module} has only half of its LoRA; the file is incomplete, tune again")
        if parts["A"][0] != rank or parts["B"][1] != rank:
            found = parts["A"][0] if parts["A"][0] != rank else parts["B"][1]
            raise DeskmateError(
                f"{module} has rank {found}, adapter_config.json says {rank}: the two files are not of one adapter"
            )
    return Lora(rank, alpha, rslora, {name: (p["B"][0], p["A"][1]) for name, p in sorted(modules.items())}, weights)


def _read_config(data: bytes) -> tuple[int, float, bool]:
    try:
        config = json.loads(data)
        kind = config["peft_type"]
    except (ValueError, KeyError, TypeError):
        raise DeskmateError("adapter_config.json is no configuration of PEFT; tune again") from None
    if kind != "LORA":
        raise DeskmateError(f"the adapter is of the type {kind!r}, deskmate serves LORA; tune one with deskmate tune")
    extras = [name for name in _EXTRAS if config.get(name)]
    extras += ["bias"] if config.get("bias", "none") != "none" else []
    if extras:
        raise DeskmateError(f"the adapter uses {', '.join(extras)}, deskmate serves plain LoRA; tune it without")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or not isinstance(alpha, int | float) or rank < 1 or not math.isfinite(alpha):
        raise DeskmateError(f"adapter_config.json has r = {rank!r} and lora_alpha = {alpha!r}; tune again")
    return rank, float(alpha), bool(config.get("use_rslora"))


def _read_shapes(weights: bytes) -> dict[str, list[int]]:
    try:
        return {name: list(tensor["shape"]) for name, tensor in deserialize(weights)}  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        if weights[:2] == b"PK" or weights[:1] == b"\x80":  # torch.save's zip or a bare pickle
            raise DeskmateError(
                "the adapter's weights are a pickle under another name, which can run code; deskmate loads safetensors "
                "only"
            ) from error
        raise DeskmateError(f"the adapter's weights are no safetensors file ({error}); tune again") from error
