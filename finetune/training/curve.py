"""The loss curve of a run as a picture. A leaf around matplotlib."""

import io
from pathlib import Path

from finetune.training.tune_log import Log

SMOOTHING = 0.9
"""Share of a smoothed loss that comes from the steps before."""


def draw_curve(log: Log, path: Path) -> None:
    """Draw loss and held-out loss, and the score where there is one, over steps.

    Args:
        log: of the run.
        path: of the PNG.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(6, 3.5), dpi=72, layout="constrained")
    axes = figure.subplots()
    steps = [one.step for one in log.steps]
    losses = [one.loss for one in log.steps]
    axes.plot(steps, losses, color="#9bb8d3", linewidth=0.8, label="loss of a step")
    axes.plot(steps, _smooth(losses), color="#1f5a92", linewidth=1.6, label="loss, smoothed")
    held_out = {one.step: one.held_out_loss for one in log.evaluations if one.held_out_loss is not None}
    if held_out:
        axes.plot(list(held_out), list(held_out.values()), "o-", color="#c2571a", label="held-out loss")
    axes.set(xlabel="step", ylabel="loss (nats per token of the answers)")
    axes.grid(alpha=0.25)
    lines = list(axes.lines)
    scored = {one.step: one.score for one in log.evaluations if one.score is not None}
    if scored:
        other = axes.twinx()
        lines += other.plot(list(scored), list(scored.values()), "s--", color="#3a7d44", label="score")
        other.set_ylabel("score")
    axes.legend(lines, [str(line.get_label()) for line in lines], frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn)
    # An adapter in a repository should be small, and few colours make a third of the file.
    Image.open(drawn).convert("RGB").quantize(48).save(path, "PNG", optimize=True)


def _smooth(values: list[float]) -> list[float]:
    """A running mean that forgets; its first values are corrected for the missing past (as Adam's moments are)."""
    smoothed, mean = [], 0.0
    for n, value in enumerate(values, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        smoothed.append(mean / (1 - SMOOTHING**n))
    return smoothed
