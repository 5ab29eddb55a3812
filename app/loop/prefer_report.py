"""What `deskmate tune --from-feedback` prints: what was read, what was left out, and how much better it became."""

from typing import Any

from app.console import console
from app.loop.prefer import Preferred
from finetune.curation.feedback import REASONS


def preference_json(made: Preferred) -> dict[str, Any]:
    """A run as one object."""
    adapter = made.adapter
    return {
        "adapter": adapter.id,
        "folder": str(adapter.folder),
        "from": made.start,
        "read": made.screened.read,
        **adapter.card.scores,
    }


def print_preference(made: Preferred) -> None:
    """A run for people."""
    out, screened, scores = console(), made.screened, made.adapter.card.scores
    lines = []
    for reason, count in screened.left_out.most_common():
        lines += [f"left out {count:>5}  {REASONS[reason]}", f"{'':>16}e.g. {screened.examples[reason]}"]
    if screened.masked:
        lines.append("masked in questions: " + ", ".join(f"{n} {kind}" for kind, n in sorted(screened.masked.items())))
    for line in lines:
        out.print(line, style="dim", markup=False, soft_wrap=True)
    accuracy, adapter = scores["preference_accuracy"], made.adapter
    for line in (
        f"{made.method.upper()} on {scores['labels']} labels of {screened.read}, from {made.start}: "
        f"{scores['steps']} steps in {scores['seconds']} s",
        f"{accuracy['value']:.0%} of the preferences in {scores['held_out']} held-out labels are followed "
        f"(95 % interval {accuracy['low']:.0%} to {accuracy['high']:.0%}; 50 % is no change)",
        f"published {adapter.id} in {adapter.folder}",
        f"next: deskmate ask --adapter {adapter.id} …   or   deskmate adapters promote {adapter.id}",
    ):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
