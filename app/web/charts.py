"""Small charts of weeks as inline SVG, made by hand: no script, no font and no colour of their own.

Each has a title and a description for those who cannot see it; the figures stand in a table beside it.
"""

import time
from collections.abc import Callable, Sequence

from app.web.pages import escape

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 6, 10, 22


def bars(title: str, starts: Sequence[float], parts: Sequence[tuple[str, str, Sequence[int]]]) -> str:
    """Stacked bars, one a week.

    Args:
        title: of the chart.
        starts: the weeks, in seconds since 1970.
        parts: each with its name, its class (`dc-a` to `dc-c`) and its counts, from the bottom up.
    """
    totals = [sum(values) for values in zip(*(counts for *_, counts in parts), strict=True)]
    top = _round(max(totals, default=0))
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(starts))
    marks = []
    for at in range(len(starts)):
        base = 0
        for _, name, counts in parts:
            height = (HEIGHT - TOP - BOTTOM) * counts[at] / top
            y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * base / top - height
            if counts[at]:
                x = LEFT + slot * at + slot * 0.14
                marks.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{slot * 0.72:.1f}" height="{height:.1f}" '
                    'rx="1.5"/>'
                )
            base += counts[at]
    says = "; ".join(
        f"week of {_day(start)}: " + ", ".join(f"{counts[at]} {label}" for label, _, counts in parts)
        for at, start in enumerate(starts)
    )
    legend = [(label, name) for label, name, _ in parts] if len(parts) > 1 else []
    return _figure(title, says, _grid(top, str) + "".join(marks) + _days(starts), legend)


def line(title: str, starts: Sequence[float], values: Sequence[float | None]) -> str:
    """A share by week, from 0 to 1; a week without any is a gap."""
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(starts))
    spots = [
        (LEFT + slot * (at + 0.5), HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value)
        for at, value in enumerate(values)
        if value is not None
    ]
    path = f'<path class="dc-line" d="M{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>' if len(spots) > 1 else ""
    dots = "".join(f'<circle class="dc-a" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in spots)
    says = "; ".join(
        f"week of {_day(start)}: {'none' if value is None else f'{value:.2f}'}"
        for start, value in zip(starts, values, strict=True)
    )
    return _figure(title, says, _grid(1, lambda value: f"{value:g}") + path + dots + _days(starts), [])


def _grid(top: float, write: Callable[[float], str]) -> str:
    out = []
    for value in (0, top / 2, top):
        if isinstance(top, int) and value != int(value):
            continue
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
        shown = write(int(value) if isinstance(top, int) and top > 1 else value)
        out.append(
            f'<path class="dc-grid" d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>'
        )
    return "".join(out)


def _days(starts: Sequence[float]) -> str:
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(starts))
    return "".join(
        f'<text x="{LEFT + slot * (at + 0.5):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{_day(start)}</text>'
        for at, start in enumerate(starts)
        if (len(starts) - 1 - at) % 3 == 0
    )


def _figure(title: str, says: str, body: str, legend: Sequence[tuple[str, str]]) -> str:
    marks = "".join(
        f'<span><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{name}" width="10" height="10" rx="2"/></svg>'
        f"{escape(label)}</span>"
        for label, name in legend
    )
    return (
        f'<figure class="ds-card dc-chart"><figcaption><b>{escape(title)}</b>{marks}</figcaption>'
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(title)}</title><desc>{escape(says)}</desc>'
        f"{body}</svg></figure>"
    )


def _round(value: int) -> int:
    """An even number that holds it: where an axis ends."""
    step = next(step for step in (2, 4, 10, 20, 40, 100, 200, 400, 1000, 10**4, 10**6, 10**9) if value <= step * 5)
    return max(step, -(-value // step) * step)


def _day(start: float) -> str:
    return time.strftime("%d %b", time.gmtime(start)).lstrip("0")
