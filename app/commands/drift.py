"""`deskmate drift`: do people ask other things, is more declined, have documents or adapters grown old."""

from typing import Annotated

import typer


def drift(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
    ] = False,
) -> None:
    """Say when to ingest and when to tune again, and why."""
    import time

    from app.console import console, print_json
    from app.desk import Desk
    from app.loop.drift import advise, look, signs
    from app.loop.drift import as_json as whole
    from app.loop.training_rows import readiness
    from app.settings import load_settings

    desk = Desk(load_settings())
    found = signs(desk, time.time(), look(desk), readiness(desk))
    if as_json:
        print_json(whole(found))
        return
    from rich.table import Table

    out = console()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("week of", "questions", "declined", "up", "down", "handed over", "confidence"):
        table.add_column(name, justify="left" if name == "week of" else "right")
    for week in found.weeks:
        figures = (week.questions, week.declined, week.up, week.down, week.handovers)
        sure = "—" if week.confidence is None else f"{week.confidence:.2f}"
        table.add_row(time.strftime("%Y-%m-%d", time.gmtime(week.start)), *map(str, figures), sure)
    out.print(table)
    out.print()
    for one in advise(found):
        out.print(f"[bold]{one.what}[/]: ", end="")
        out.print(one.why, markup=False, soft_wrap=True)
