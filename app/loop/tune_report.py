"""How a tuning run is shown while it goes and when it is done. Knows figures; knows no model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.console import console, noted_progress
from app.loop.tune import Tuned
from finetune.training.tune_log import Evaluation, Plan, StepFigures, Watch


@contextmanager
def tune_progress(quiet: bool) -> Iterator[Watch]:
    """A bar with loss, speed and remaining time on standard error, and a line for every evaluation."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("Tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=quiet) as bars:
        yield _Bar(err, bars)


class _Bar:
    """Tells a progress bar of the run."""

    def __init__(self, err: Any, bars: Any) -> None:
        self._err = err
        self._bars = bars
        self._task: Any = None
        self._noted = noted_progress()

    def begins(self, plan: Plan) -> None:
        share = 100 * plan.trainable / max(1, plan.parameters)
        self._err.print(
            f"{plan.trainable:,} of {plan.parameters:,} parameters are tuned ({share:.1f} %), on {plan.rows:,} rows in "
            f"{plan.steps:,} steps: {plan.tokens:,} tokens are read, {plan.unshared:,} if nothing were shared"
        )
        if plan.left_out:
            self._err.print(f"{plan.left_out:,} rows are longer than the recipe's context and left out")
        if plan.resumed_at:
            self._err.print(f"going on after step {plan.resumed_at:,}")
        self._task = self._bars.add_task("", total=plan.steps, completed=plan.resumed_at)
        if self._noted:
            self._noted.total("tune", plan.steps)
            self._noted.done("tune", plan.resumed_at)

    def stepped(self, figures: StepFigures) -> None:
        speed = f"{figures.tokens_per_s:,.0f} tokens/s, as if unshared {figures.unshared_per_s:,.0f}"
        self._bars.update(self._task, completed=figures.step, description=f"loss {figures.loss:.3f}  {speed}")
        if self._noted:
            self._noted.done("tune", 1)

    def evaluated(self, evaluation: Evaluation) -> None:
        named = (("held-out loss", evaluation.held_out_loss), ("score", evaluation.score))
        figures = ", ".join(f"{name} {value:.4f}" for name, value in named if value is not None)
        self._err.print(f"step {evaluation.step}: {figures}")


def print_tuned(tuned: Tuned) -> None:
    """Where the adapter is, what it came to, and what to run next."""
    adapter = tuned.adapter
    console().print(f"published {adapter.id} in {adapter.folder}")
    for name, value in adapter.card.scores.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
        console().print(f"  {name.replace('_', ' ')}: {shown}", style="dim")
    console().print(
        f"\nnext: deskmate ask --adapter {adapter.id} …   or   deskmate adapters promote {adapter.id}", style="dim"
    )


def tuned_json(tuned: Tuned) -> dict[str, Any]:
    """The same for machines."""
    adapter = tuned.adapter
    return {"adapter": adapter.id, "folder": str(adapter.folder), "scores": adapter.card.scores}
