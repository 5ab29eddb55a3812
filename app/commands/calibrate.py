"""`deskmate calibrate`: how sure an answer has to be, measured on a company's own documents and questions."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders of `deskmate eval --absent`.")],
    questions: Annotated[list[Path], typer.Option(help="Each evaluation's question set, in the same order.")],
    save: Annotated[bool, typer.Option(help="Use the weights in this workspace from now on.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
    ] = False,
) -> None:
    """Fit the confidence of answers on evaluated ones.

    Evaluate with DESKMATE_CHAT__CONFIDENCE=0, so that none is declined.
    """
    from dataclasses import asdict

    from app.answering.confidence import save_confidence
    from app.console import print_json
    from app.desk import Desk
    from app.settings import load_settings
    from eval.calibrate import as_lines, read_all
    from eval.calibrate import calibrate as measure

    desk = Desk(load_settings())
    believed = desk.weights.believed
    weights, measured = measure(read_all(evaluations, questions, desk.model.name), desk.model.name, believed)
    path = save_confidence(weights, measured, desk.workspace.root) if save else None
    if as_json:
        print_json({"weights": asdict(weights), **measured, "saved": str(path) if path else None})
        return
    for line in as_lines(measured):
        typer.echo(line)
    typer.echo(f"weights: {', '.join(f'{name} {value}' for name, value in asdict(weights).items())}")
    if path:
        typer.echo(f"\nwrote {path}")
        typer.echo("next: choose chat.confidence, below which is declined, in deskmate.toml, and start the chat anew")
