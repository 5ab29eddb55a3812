"""`deskmate attack`: the attack suite against this desk's model, modes and settings, on a throw-away copy of it."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.evaluate import Adapters, Json, Modes, modes_of

Documents = Annotated[list[Path] | None, typer.Argument(help="Folders of documents to put among the attacks'.")]
Out = Annotated[Path | None, typer.Option(help="Folder for answers and figures; one in the workspace by default.")]


def attack(
    documents: Documents = None,
    modes: Modes = None,
    adapter: Adapters = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Try some three hundred attacks, and count those that succeed; exit with 1 if one does that must not."""
    from app.console import print_json
    from app.desk import Desk
    from app.settings import load_settings
    from eval.attacks.run import default_out, run_attacks
    from eval.contenders import contenders
    from eval.reporting.attacks import attack_page, print_attacks
    from eval.reporting.page import write_page

    desk = Desk(load_settings())
    entrants = contenders(desk, modes_of(modes), adapter or ())
    folder = out or default_out(desk, entrants)
    report = run_attacks(desk, entrants, documents or (), folder)
    write_page(attack_page(report, shlex.join(["deskmate", *sys.argv[1:]])), folder)
    if as_json:
        print_json({"out": str(folder), **report})
    else:
        print_attacks(report, folder)
    if report["structural"]["succeeded"]:
        raise typer.Exit(1)
