"""Adapters on one base in memory: checked, brought in, proved to work, switched. A leaf around torch and PEFT.

The base is never loaded twice. Where its weights are plain and small, an adapter is a second copy of the matrices that
it changes, and switching exchanges pointers: an answer costs what the base's costs (PEFT's own layers make a token of
SmolLM2 1.46 times as slow on two cores, docs/log.md). Where they are quantized or large, PEFT adds the two small
products to each layer as it runs.
"""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch  # noqa: TID253  a leaf
from safetensors.torch import load as load_tensors

from finetune.adapters.card import CONFIG, WEIGHTS, Adapter
from finetune.adapters.lora import Lora, key, read_lora
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

COPIED_BYTES = 2 << 30
"""Largest linear weights of a base that adapters copy. A fixed size, so that the same base always computes alike."""

EMBEDDING_ROWS = 64
"""Rows of the embedding that tell bases apart; the first tokens are in every version of a tokenizer."""

READY = 2
"""Adapters kept in memory: the one that serves, and another to compare it with."""


class Ways(Protocol):
    """How adapters are kept beside a base."""

    def add(self, name: str, lora: Lora) -> None:
        """Bring an adapter in, without using it."""

    def use(self, name: str | None) -> None:
        """Compute with an adapter that was added, or with the base alone."""

    def drop(self, name: str) -> None:
        """Forget an adapter that is not in use."""


class Adapters:
    """The adapters on one resident base. Not safe for use by two threads at once."""

    def __init__(
        self,
        model: "PreTrainedModel",
        base: str,
        probe: Sequence[int],
        ways: "Callable[[PreTrainedModel], Ways] | None" = None,
    ) -> None:
        """Prepare for adapters; costs nothing until the first.

        Args:
            model: the base, in evaluation mode.
            base: its name, for error messages.
            probe: token ids of a prompt whose next token's logits every adapter must change.
            ways: how adapters are kept; `Copies` where the base is plain and small, else `Layers`.
        """
        self._model = model
        self._base = base
        self._probe = torch.tensor([list(probe)])
        self._make_ways = ways or _pick_ways
        self._ways: Ways | None = None
        self._ready: list[str] = []  # checksums, the latest used last
        self._in_use: str | None = None

    def use(self, adapter: Adapter | None) -> bool:
        """Compute with `adapter`, or with the base alone, from now on. The first time the adapter is brought in.

        Returns:
            Whether anything was switched.

        Raises:
            DeskmateError: it is damaged, for another base, not plain LoRA, or it changes nothing.
        """
        name = adapter.checksum if adapter else None
        if name == self._in_use:
            return False
        if adapter and adapter.checksum not in self._ready:
            self._bring_in(adapter)
        self._in_use = ""  # neither, until everything is switched
        if self._ways:
            self._ways.use(name)
        if name:
            self._ready.remove(name)
            self._ready.append(name)
        self._in_use = name
        return True

    def _bring_in(self, adapter: Adapter) -> None:
        lora = _checked(self._model, self._base, adapter)
        if self._ways is None:
            self._ways = self._make_ways(self._model)
        self._ways.use(None)
        self._in_use = None
        before = self._logits()
        self._ways.add(adapter.checksum, lora)
        try:
            self._ways.use(adapter.checksum)
            after = self._logits()
            self._ways.use(None)
            _check_probe(adapter, before, after)
        except BaseException:
            self._ways.use(None)
            self._ways.drop(adapter.checksum)
            raise
        self._ready.append(adapter.checksum)
        while len(self._ready) > READY:
            self._ways.drop(self._ready.pop(0))

    def _logits(self) -> torch.Tensor:
        with torch.inference_mode():
            out = self._model(input_ids=self._probe.to(self._model.device), use_cache=False, logits_to_keep=1)
        logits: torch.Tensor = out.logits
        return logits


class Copies:
    """For plain weights: each adapter is a copy of the matrices it changes, with its product added in float32."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self._original: dict[str, torch.Tensor] = {}
        self._changed: dict[str, dict[str, torch.Tensor]] = {}

    def add(self, name: str, lora: Lora) -> None:
        """Make the changed matrices."""
        for module in lora.modules:
            self._original.setdefault(module, _linear(self._model, module).weight)
        self._changed[name] = {
            module: torch.nn.Parameter(weight, requires_grad=False)
            for module, weight in merged(lora, {m: self._original[m] for m in lora.modules})
        }

    def use(self, name: str | None) -> None:
        """Exchange pointers; what an adapter before changed goes back to the base's."""
        changed = self._changed[name] if name else {}
        for module, original in self._original.items():
            _linear(self._model, module).weight = changed.get(module, original)

    def drop(self, name: str) -> None:
        """Free the copies."""
        del self._changed[name]


class Layers:
    """For quantized or large weights: PEFT's layers around the base's."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self._peft: PeftModel | None = None

    def add(self, name: str, lora: Lora) -> None:
        """Put the adapter's matrices beside the base's."""
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT computes with any number
            use_rslora=lora.rslora,
            target_modules=list(lora.modules),
            task_type="CAUSAL_LM",
            inference_mode=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT calls what transformers is about to rename
            if self._peft is None:
                self._peft = get_peft_model(self._model, config, adapter_name=name, autocast_adapter_dtype=False)
            else:
                self._peft.add_adapter(name, config)
        assert self._peft is not None
        # Not by PEFT's loader: it asks the base for its state, which changes 4-bit weights on CPU (bitsandbytes 0.50).
        tensors = load_tensors(lora.weights)
        for module in lora.modules:
            layer: Any = self._model.get_submodule(module)
            for part, matrices in (("A", layer.lora_A), ("B", layer.lora_B)):
                matrices[name].weight.data.copy_(tensors[key(module, part)])
        self._peft.eval()

    def use(self, name: str | None) -> None:
        """Switch PEFT's layers."""
        if self._peft is None:
            return
        if name is None:
            self._peft.base_model.disable_adapter_layers()  # type: ignore[operator]  # a tuner, not the tensor
        else:
            self._peft.base_model.enable_adapter_layers()  # type: ignore[operator]
            self._peft.set_adapter(name)

    def drop(self, name: str) -> None:
        """Remove the adapter's matrices."""
        if self._peft is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that another is active then; `use` says which
                self._peft.delete_adapter(name)


def merged(lora: Lora, weights: dict[str, torch.Tensor]) -> "list[tuple[str, torch.Tensor]]":
    """The weights with the adapter added, computed in float32 and rounded once to the weights' own type."""
    tensors = load_tensors(lora.weights)
    result = []
    with torch.inference_mode(False), torch.no_grad():
        for module, weight in weights.items():
            a, b = (tensors[key(module, part)].to(weight.device, torch.float32) for part in "AB")
            result.append((module, torch.addmm(weight.float(), b, a, alpha=lora.scale).to(weight.dtype)))
    return result


def merge_into(model: "PreTrainedModel", base: str, adapter: Adapter) -> None:
    """Add an adapter for good to the model of the base of that name, for exporting it as a model of its own.

    Raises:
        DeskmateError: it is damaged or for another base.
    """
    lora = _checked(model, base, adapter)
    for module, weight in merged(lora, {name: _linear(model, name).weight for name in lora.modules}):
        _linear(model, module).weight.data = weight


def identity(model: "PreTrainedModel") -> str:
    """A hash that tells one base from another, whatever its folder is called and in whatever arithmetic it is.

    It is taken of all vectors (norms and biases) and the first rows of the embedding: quantization leaves them alone,
    LoRA does not touch them, and they are few. They are compared as bfloat16. Of a model that PEFT has wrapped it is
    the same as of the base.
    """
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    digest = hashlib.sha256()
    for parameter in (*(p for p in model.parameters() if p.ndim == 1), embedding.weight[:EMBEDDING_ROWS]):
        digest.update(parameter.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint16).numpy().tobytes())
    return digest.hexdigest()


def _pick_ways(model: "PreTrainedModel") -> Ways:
    linear = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    quantized = getattr(model, "is_quantized", False)
    size = sum(weight.numel() * weight.element_size() for weight in linear)
    return Layers(model) if quantized or size > COPIED_BYTES else Copies(model)


def _linear(model: "PreTrainedModel", name: str) -> torch.nn.Linear:
    module = model.get_submodule(name)
    assert isinstance(module, torch.nn.Linear)
    return module


def _checked(model: "PreTrainedModel", base: str, adapter: Adapter) -> Lora:
    """The adapter's matrices, once everything is known to fit the base of this name."""
    if adapter.card.base_identity != identity(model):
        here = "the model of that name here has other weights" if adapter.card.base == base else f"this is {base}"
        raise DeskmateError(
            f"the adapter {adapter.id} was tuned on {adapter.card.base}, and {here}; set model.base to the one it was "
            "tuned on, or tune again on this one"
        )
    files = adapter.read(CONFIG), adapter.read(WEIGHTS)
    try:
        lora = read_lora(*files)
        _check_shapes(model, lora)
    except DeskmateError as error:
        raise DeskmateError(f"the adapter {adapter.id} cannot be used: {error}") from error
    return lora


def _check_shapes(model: "PreTrainedModel", lora: Lora) -> None:
    """Every matrix must have its place: an adapter of which a part is ignored is not the one that was measured."""
    modules: dict[str, Any] = dict(model.named_modules())
    for name, (rows, columns) in lora.modules.items():
        module = modules.get(name)
        if module is not None and hasattr(module, "base_layer"):  # PEFT's layer of another adapter
            module = module.base_layer
        if not isinstance(module, torch.nn.Linear):
            raise DeskmateError(f"the base has no linear layer {name}; it was tuned on another model")
        if (module.out_features, module.in_features) != (rows, columns):
            raise DeskmateError(
                f"{name} is {module.out_features} x {module.in_features} in the base and {rows} x {columns} in the "
                "adapter; it was tuned on another model"
            )


def _check_probe(adapter: Adapter, before: torch.Tensor, after: torch.Tensor) -> None:
    if not bool(torch.isfinite(after).all()):
        raise DeskmateError(f"the adapter {adapter.id} makes the model compute values that are not finite; tune again")
    if torch.equal(before, after):
        raise DeskmateError(
            f"the adapter {adapter.id} is inert: with it the model computes what it computes without; tune again "
            "with more steps or a larger learning rate"
        )
