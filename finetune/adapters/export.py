"""An adapter leaves the workspace: as PEFT's folder, which vLLM serves, or merged into its base as one model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

from finetune.adapters.card import CARD, Adapter
from finetune.model import Base, fetch_smollm2, load_base
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, staged_folder


def export_peft(adapter: Adapter, out: Path) -> None:
    """Write the adapter as PEFT, vLLM and another deskmate load it: its files, each compared with the card once more.

    Raises:
        DeskmateError: `out` exists, a file was changed, or the disk refuses.
    """
    _check_free(out)
    try:
        with staged_folder(out) as staged:
            for name in adapter.card.files:
                (staged / name).write_bytes(adapter.read(name))
            (staged / CARD).write_bytes((adapter.folder / CARD).read_bytes())
    except OSError as error:
        raise explain_disk_error(error, f"exporting to {out}") from error


def export_merged(adapter: Adapter, out: Path, base: Base, models_dir: Path) -> None:
    """Write base and adapter as one model with its tokenizer, in the type that the base's weights are stored in.

    Args:
        adapter: is added in float32 and rounded once.
        out: a folder that does not exist yet.
        base: from `finetune.model.pick_base`; its own quantization and type are left aside.
        models_dir: where the embedded models live.

    Raises:
        DeskmateError: `out` exists, the adapter is for another base or damaged, or the disk refuses.
    """
    from safetensors import SafetensorError

    from finetune.adapters.adapter import merge_into

    _check_free(out)
    folder = base.folder or fetch_smollm2(models_dir)
    loaded = load_base(replace(base, quantization="none", device="cpu", dtype=_stored_dtype(folder)), models_dir)
    merge_into(loaded.model, base.name, adapter)
    try:
        with staged_folder(out) as staged:
            loaded.model.save_pretrained(staged)
            loaded.tokenizer.save_pretrained(staged)
            (staged / "README.md").write_bytes(adapter.read("README.md"))
    except OSError as error:
        raise explain_disk_error(error, f"exporting to {out}") from error
    except SafetensorError as error:
        raise DeskmateError(f"cannot write to {out} ({error}); free some disk and export again") from error


def _check_free(out: Path) -> None:
    if out.exists():
        raise DeskmateError(f"{out} is there already; name a folder that is not")


def _stored_dtype(folder: Path) -> Literal["float32", "bfloat16"]:
    """`bfloat16` where the weights are stored so; float32 holds every other type."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return "bfloat16" if config.get("dtype", config.get("torch_dtype")) == "bfloat16" else "float32"
