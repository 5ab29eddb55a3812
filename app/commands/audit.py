"""`deskmate audit`: read what was done, and check that nobody has changed the record of it."""

from typing import Annotated, Any

import typer

audit = typer.Typer(help="Show and verify the audit: who did what when.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


@audit.command()
def show(
    count: Annotated[int, typer.Option("-n", min=1, max=100_000, help="How many entries, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the last entries: when, who, what, and the ids it is about."""
    from datetime import datetime

    from rich.markup import escape
    from rich.table import Table

    from app.accounts.audit import entries
    from app.console import console, print_json

    found = entries(_database(), count)
    if as_json:
        rows = [{"id": e.id, "at": e.at, "who": e.who, "what": e.what, "about": dict(e.about)} for e in found]
        print_json({"entries": rows})
        return
    if not found:
        typer.echo("nothing was recorded yet")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in ("id", "when", "who", "what", "about"):
        table.add_column(title)
    for e in found:
        about = ", ".join(f"{name} {value}" for name, value in e.about.items())
        when = datetime.fromtimestamp(e.at).isoformat(" ", "seconds")
        table.add_row(str(e.id), when, *(escape(text) for text in (e.who, e.what, about)))
    console().print(table)


@audit.command()
def verify(
    head: Annotated[
        str, typer.Option(help="The head that an earlier check printed; without it a cut end is not seen.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check the chain of hashes: no entry changed, removed or slipped in."""
    from app.accounts.audit import verify as check
    from app.console import print_json
    from ingest.errors import DeskmateError

    verdict = check(_database(), head.strip().lower())
    where = "" if verdict.broken is None else f"entry {verdict.broken} "
    if as_json:
        print_json(
            {
                "whole": not verdict.problem,
                "entries": verdict.rows,
                "head": verdict.head,
                "broken": verdict.broken,
                "problem": verdict.problem,
            }
        )
    if verdict.problem:
        raise DeskmateError(f"the audit is broken: {where}{verdict.problem}; compare with a backup")
    if not as_json:
        typer.echo(f"{verdict.rows:,} entries, none changed\nhead: {verdict.head}")
        typer.echo("keep the head elsewhere; later: deskmate audit verify --head …", err=True)


def _database() -> Any:
    from app.desk import Desk
    from app.settings import load_settings

    return Desk(load_settings()).database
