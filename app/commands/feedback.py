"""`deskmate feedback`: what people said of answers, as training rows, and where each row comes from."""

from pathlib import Path
from typing import Annotated, Any

import typer

feedback = typer.Typer(help="Turn what people said of answers into training rows.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


@feedback.command()
def status(as_json: Json = False) -> None:
    """Say how many rows there are, what was left out and why, and what is missing to tune on them."""
    from dataclasses import asdict

    from app.console import console, print_json
    from app.loop.training_rows import readiness, reason_text

    ready = readiness(_desk())
    if as_json:
        print_json({**asdict(ready), "method": ready.method})
        return
    out = console()
    out.print(f"[bold]{ready.rows} rows[/] of {ready.read} judgements and reviewed corrections")
    out.print(f"{ready.up} thumbs up, {ready.down} down, {ready.corrected} of these with the right answer")
    _print_left_out(out, ready.left_out, reason_text)
    if ready.method:
        out.print(f"next: deskmate tune --from-feedback   ({ready.method})", markup=False)
        return
    for method, lacks in ready.missing.items():
        out.print(f"{method} needs {', '.join(lacks)}", style="yellow", markup=False)


@feedback.command()
def export(
    out: Annotated[Path | None, typer.Option(help="Where the rows go; `feedback` in the workspace by default.")] = None,
    as_json: Json = False,
) -> None:
    """Write the rows as JSON lines, masked; docs/feedback.md has the format."""
    from app.console import console, print_json
    from app.loop.training_rows import keep_rows, reason_text, training_rows
    from ingest.workspace import explain_disk_error, write_atomic

    desk = _desk()
    rows = training_rows(desk)
    if out is None:
        out = keep_rows(rows, desk.workspace.root)
    else:
        try:
            write_atomic(out, rows.data())
        except OSError as error:
            raise explain_disk_error(error, f"writing {out}") from error
    _note_export(desk, len(rows.lines))
    if as_json:
        counts = {"read": rows.read, "left_out": dict(rows.left_out), "masked": dict(rows.masked)}
        print_json({"rows": len(rows.lines), "out": str(out), **counts})
        return
    shown = console()
    shown.print(f"{len(rows.lines)} rows in {out}", markup=False, soft_wrap=True)
    _print_left_out(shown, rows.left_out, reason_text)
    if rows.masked:
        masked = ", ".join(f"{count} {kind}" for kind, count in sorted(rows.masked.items()))
        shown.print(f"masked in questions: {masked}", style="dim", markup=False)
    shown.print("next: deskmate feedback status   or   deskmate tune --from-feedback", style="dim")


@feedback.command()
def answers(
    out: Annotated[Path | None, typer.Option(help="Where they go; `feedback/answers.jsonl` in the workspace.")] = None,
    as_json: Json = False,
) -> None:
    """Write reviewed corrections as questions and answers, for `deskmate synth --include`."""
    from app.console import print_json
    from app.loop.training_rows import keep_answers

    desk = _desk()
    file = out or desk.workspace.root / "feedback" / "answers.jsonl"
    count = keep_answers(desk, file)
    _note_export(desk, count)
    if as_json:
        print_json({"answers": count, "out": str(file)})
    else:
        typer.echo(f"{count} in {file}")
        typer.echo(f"next: deskmate synth --include {file}")


@feedback.command()
def trace(
    row: Annotated[str, typer.Argument(metavar="ROW", help="The id of a row, such as j12 or c3.")],
    as_json: Json = False,
) -> None:
    """Say from which exchange, correction and version of documents a row comes; texts are masked."""
    from app.console import console, print_json
    from app.loop.row_trace import trace as follow

    found = follow(_desk(), row)
    if as_json:
        print_json(found)
        return
    out = console()
    for name, value in found.items():
        if name == "documents":
            for one in value:
                out.print(f"[bold]{'document':<13}[/] ", end="")
                out.print(f"{one['doc']} {one['sha256'][:12]}, today {one['today']}", markup=False, soft_wrap=True)
        elif value is None and name in ("question", "answer"):
            out.print(f"[bold]{name:<13}[/] rests on documents that are not open to tuning")
        elif value:
            out.print(f"[bold]{name:<13}[/] ", end="")
            out.print(str(value), markup=False, soft_wrap=True)


def _print_left_out(out: Any, left_out: Any, text: Any) -> None:
    for reason, count in sorted(left_out.items(), key=lambda one: -one[1]):
        out.print(f"left out {count:>5}  {text(reason)}", style="dim", markup=False, soft_wrap=True)


def _note_export(desk: Any, rows: int) -> None:
    """Whoever takes rows out of the database is noted."""
    from app.accounts import audit

    with desk.database.writing() as connection:
        audit.note(connection, audit.CONSOLE, "feedback.exported", {"rows": rows})


def _desk() -> Any:
    from app.desk import Desk
    from app.settings import load_settings

    return Desk(load_settings())
