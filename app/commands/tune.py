"""`deskmate tune`: on training data, or on what people said about answers."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


def tune(
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="LABELS",
            help="With --from-feedback: a file with labels, a line each; what people said here by default.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="A shipped recipe, or a TOML file.")] = "smollm2-135m-cpu",
    name: Annotated[str | None, typer.Option(help="The adapter's name; every run makes its next version.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of `deskmate synth`; `qa` in the workspace.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run was stopped.")] = False,
    from_feedback: Annotated[
        bool, typer.Option("--from-feedback", help="Tune the served adapter on thumbs and reviewed corrections.")
    ] = False,
    method: Annotated[
        Literal["auto", "kto", "dpo"], typer.Option(help="With --from-feedback: thumbs or corrections.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Tune the model on the training data: tone, format, citing and declining. The adapter is not promoted yet."""
    from app.console import print_json, stage_progress

    if from_feedback:
        from app.loop.prefer import PreferOptions, run_preference
        from app.loop.prefer_report import preference_json, print_preference

        desk = _desk()
        file = labels or _own_labels(desk)
        with stage_progress(as_json) as progress:
            made = run_preference(desk, file, PreferOptions(method, name or ""), progress)
        if as_json:
            print_json(preference_json(made))
        else:
            print_preference(made)
        return
    if labels is not None:
        raise typer.BadParameter(f"what is {labels} for? labels go with --from-feedback", param_hint="LABELS")
    from app.loop.tune import TuneOptions, Tuning
    from app.loop.tune_report import print_tuned, tune_progress, tuned_json

    run = Tuning(_desk(), TuneOptions(recipe, name or "house", data, resume))
    with tune_progress(as_json) as watch:
        tuned = run.run(watch)
    if tuned is None:
        return  # the first process of `accelerate launch` speaks for all
    if as_json:
        print_json(tuned_json(tuned))
    else:
        print_tuned(tuned)


def _own_labels(desk: Any) -> Path:
    """A file with what people said in this workspace, as it may be tuned on today."""
    from app.loop.training_rows import keep_rows, training_rows

    return keep_rows(training_rows(desk), desk.workspace.root)


def _desk() -> Any:
    from app.desk import Desk
    from app.settings import load_settings

    return Desk(load_settings())
