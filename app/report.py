"""What `status`, `doctor` and `config` say."""

import platform
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, SecretStr

from app.console import console, print_json
from app.desk import Desk
from app.loop.adapter_report import adapter_json, adapter_line
from app.settings import Settings
from ingest.errors import DeskmateError


def print_status(desk: Desk, as_json: bool) -> None:
    """What is indexed, who may read it, and what could not be read and why.

    Raises:
        DeskmateError: there is no index, or it is damaged.
    """
    generation = desk.store.open()
    manifest, documents = generation.manifest, generation.table.documents()
    if as_json:
        rows = [
            {"doc": d.doc, "title": d.title, "access": sorted(d.access), "chunks": d.chunks, "reason": d.reason}
            for d in documents
        ]
        head = {"generation": manifest.generation, "created": manifest.created, "embedder": manifest.recipe.embedder}
        counts = {"documents": manifest.documents, "chunks": manifest.chunks, "quarantined": manifest.quarantined}
        print_json({**head, **counts, "adapter": adapter_json(desk), "list": rows})
        return
    from rich.markup import escape
    from rich.table import Table

    out = console()
    out.print(f"[bold]{manifest.generation}[/] of {manifest.created} in {desk.workspace.index}")
    out.print(f"{manifest.documents} documents, {manifest.chunks} chunks, embedded by {manifest.recipe.embedder}")
    try:
        out.print(f"adapter: {adapter_line(desk)}\n", markup=False, soft_wrap=True)
    except DeskmateError as error:
        out.print(f"adapter: {error}\n", style="red", markup=False, soft_wrap=True)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("document", "chunks", "read by"):
        table.add_column(name, justify="right" if name == "chunks" else "left")
    for document in documents:
        if document.reason is None:
            table.add_row(escape(document.doc), str(document.chunks), escape(", ".join(sorted(document.access))))
    out.print(table)
    bad = [document for document in documents if document.reason is not None]
    if bad:
        out.print(f"\n[yellow]{len(bad)} could not be read:[/]")
        for document in bad:
            out.print(f"  {document.doc}: {document.reason}", markup=False, soft_wrap=True)


def print_doctor(desk: Desk, as_json: bool) -> None:
    """Which parts were picked and why; every part is tried, and what fails says what to do.

    Raises:
        DeskmateError: when a part that is needed does not work.
    """
    import torch

    from finetune.model import pick_base

    lines: dict[str, str] = {
        "python": platform.python_version(),
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "gradio": version("gradio"),
        "workspace": str(desk.workspace.root.absolute()),
    }
    problems: dict[str, str] = {}

    def attempt(name: str, check: Any) -> None:
        try:
            lines[name] = check()
        except DeskmateError as error:
            problems[name] = str(error)

    attempt("embedder", lambda: f"{desk.embedder.id}, {desk.embedder.backend}, {desk.embedder.window} tokens")
    attempt("chat model", lambda: _model(desk, pick_base))
    attempt("adapter", lambda: adapter_line(desk))
    attempt("house style", lambda: desk.voice.persona.name)
    attempt("index", lambda: desk.store.open().manifest.generation if desk.store.current_name() else "none yet")
    if as_json:
        print_json({"parts": lines, "problems": problems})
    else:
        out = console()
        for name, text in lines.items():
            out.print(f"[green]✓[/] [bold]{name:<12}[/] ", end="")
            out.print(text, markup=False, soft_wrap=True)
        for name, text in problems.items():
            out.print(f"[red]✗[/] [bold]{name:<12}[/] ", end="")
            out.print(text, markup=False, soft_wrap=True)
    if problems:
        raise DeskmateError(f"{', '.join(problems)}: see above" if not as_json else next(iter(problems.values())))


def _model(desk: Desk, pick_base: Any) -> str:
    chat = desk.settings.chat
    if chat.backend == "openai":
        desk.model.load()
        return f"{desk.model.name} at {chat.server}"
    if chat.backend == "echo":
        return "echo, a fake without weights"
    base = pick_base(desk.settings.model)
    from finetune.model import fetch_smollm2
    from ingest.embedded import SMOLLM2, verify

    if base.folder is None:
        fetch_smollm2(desk.settings.models_folder)
        verify(SMOLLM2, desk.settings.models_folder)
    return f"{base.name}, {base.dtype}, {base.quantization} quantization, on {base.device}: {base.reason}"


def print_config(settings: Settings, as_json: bool) -> None:
    """Every setting with its value and meaning; secrets are never shown."""
    rows = list(_rows(settings))
    if as_json:
        print_json({name: value for name, value, _ in rows})
        return
    out = console()
    for name, value, meaning in rows:
        out.print(f"[bold]{name}[/] = ", end="")
        out.print(repr(value), markup=False)
        out.print(f"  {meaning}", style="dim", markup=False)


def _rows(model: BaseModel, prefix: str = "") -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            rows += _rows(value, f"{prefix}{name}.")
            continue
        shown = ("set" if value.get_secret_value() else "") if isinstance(value, SecretStr) else value
        plain = shown if isinstance(shown, (str, int, float, bool, type(None))) else str(shown)
        rows.append((prefix + name, plain, field.description or ""))
    return rows
