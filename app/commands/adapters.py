"""`deskmate adapters`: what is there, what serves, forth and back, and out of the workspace."""

from pathlib import Path
from typing import Annotated, Any

import typer

adapters = typer.Typer(help="List, promote, roll back and export adapters.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Reference = Annotated[str, typer.Argument(metavar="NAME[/vN]", help="An adapter, its newest version by default.")]


@adapters.command("list")
def list_adapters(as_json: Json = False) -> None:
    """List every version: which serves, what it was tuned on, who may be served, what is stale."""
    from app.loop.adapter_report import print_adapters

    print_adapters(_desk(), as_json)


@adapters.command()
def show(adapter: Reference, as_json: Json = False) -> None:
    """Show an adapter's card, and check its files."""
    from app.loop.adapter_report import print_adapter

    desk = _desk()
    print_adapter(desk, desk.serving.find(adapter), as_json)


@adapters.command()
def promote(adapter: Reference, as_json: Json = False) -> None:
    """Let an adapter serve from the next question on. It is loaded first, to see that it works."""
    desk = _desk()
    found = desk.registry.find(adapter)
    desk.model.load(found)
    desk.registry.promote(found)
    _say(f"{found.id} serves from the next question on; back with: deskmate adapters rollback", found.id, as_json)


@adapters.command()
def rollback(as_json: Json = False) -> None:
    """Let serve what served before the last promotion."""
    desk = _desk()
    desk.registry.rollback()
    serving = desk.serving.adapter()
    name = serving.id if serving else None
    _say(f"{name or 'the base without an adapter'} serves from the next question on", name, as_json)


@adapters.command()
def remove(adapter: Reference, as_json: Json = False) -> None:
    """Delete a version that neither serves nor would serve after a rollback."""
    desk = _desk()
    found = desk.registry.find(adapter)
    desk.registry.remove(found)
    _say(f"{found.id} is deleted", desk.registry.served_id(), as_json)


@adapters.command()
def export(
    adapter: Reference,
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    merged: Annotated[bool, typer.Option("--merged", help="Write base and adapter as one model.")] = False,
    as_json: Json = False,
) -> None:
    """Write an adapter as PEFT's folder, which vLLM serves, or merged into its base."""
    from app.console import print_json
    from finetune.adapters.export import export_merged, export_peft
    from finetune.model import pick_base

    desk = _desk()
    found = desk.serving.find(adapter)
    if merged:
        export_merged(found, out, pick_base(desk.settings.model), desk.settings.models_folder)
    else:
        export_peft(found, out)
    if as_json:
        print_json({"adapter": found.id, "out": str(out), "merged": merged})
        return
    typer.echo(f"{found.id} is in {out}")
    served = str(out) if merged else f"{found.card.base} --enable-lora --lora-modules {found.id}={out}"
    typer.echo(f"next: vllm serve {served}   (docs/adapters.md)")


def _desk() -> Any:
    from app.desk import Desk
    from app.settings import load_settings

    return Desk(load_settings())


def _say(line: str, serving: str | None, as_json: bool) -> None:
    from app.console import print_json

    if as_json:
        print_json({"serving": serving})
    else:
        typer.echo(line)
