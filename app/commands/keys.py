"""`deskmate keys`: make, list and revoke the keys of the HTTP API."""

from typing import Annotated, Any

import typer

keys = typer.Typer(help="Add, list and revoke keys of the HTTP API.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="What you call it, such as the program that will use it.")],
    groups: Annotated[str, typer.Option(help="Groups whose documents it may read, separated by commas.")] = "",
    scopes: Annotated[
        str, typer.Option(help="What it may do: some of chat, search, adapters, metrics, separated by commas.")
    ] = "chat,search",
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="Days until it expires; never by default.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, once."""
    from app.console import print_json

    store = _keys()
    key, secret = store.add(name, _parts(groups), _parts(scopes), days)
    if as_json:
        print_json(_shown(key, "") | {"key": secret})
        return
    typer.echo(secret)
    typer.echo(
        f"\n{key.name} may {', '.join(key.scopes)} and reads what is for {', '.join(('everyone', *key.groups))}.\n"
        "The key is shown this once; only its hash is kept. It works at once, without a restart.\n"
        'next: OpenAI(base_url="http://127.0.0.1:7860/v1", api_key=…)   (docs/api.md)',
        err=True,
    )


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys: whom for, what they may read and do, until when, and when they were last used."""
    from rich.markup import escape
    from rich.table import Table

    from app.console import console, print_json

    store = _keys()
    used = store.used()
    rows = [_shown(key, used.get(key.id, "")) for key in store.all()]
    if as_json:
        print_json({"keys": rows})
        return
    if not rows:
        typer.echo("no keys, so the API is closed; make one with: deskmate keys add NAME")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("name", "id", "groups", "may", "expires", "last used"):
        table.add_column(title)
    for row in rows:
        expires = f"{row['expires'][:10]}{' (over)' if row['expired'] else ''}" if row["expires"] else "never"
        cells = (row["name"], row["id"], ", ".join(row["groups"]), ", ".join(row["scopes"]), expires)
        table.add_row(*map(escape, cells), _minute(row["used"]))
    console().print(table)


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    as_json: Json = False,
) -> None:
    """Take a key back, from the next request on."""
    from app.console import print_json

    key = _keys().revoke(name)
    if as_json:
        print_json({"revoked": key.name, "id": key.id})
    else:
        typer.echo(f"{key.name} is revoked, from the next request on")


def _shown(key: Any, used: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "id": key.id,
        "name": key.name,
        "groups": list(key.groups),
        "scopes": list(key.scopes),
        "created": key.created,
        "expires": key.expires or None,
        "expired": key.expired(datetime.now(UTC)),
        "used": used or None,
    }


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "never"


def _parts(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _keys() -> Any:
    from app.api.keys import Keys
    from app.settings import load_settings

    return Keys(load_settings().workspace.keys)
