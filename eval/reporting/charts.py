"""Charts as small inline SVG, made by hand: no script, no font, no colour of their own.

Colours are the classes `s0` to `s5` of the page's style, one a mode, and each mode has a shape too, so that nothing
depends on telling colours apart. Every chart has a title and a description for those who cannot see it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from eval.reporting.blocks import Column

Interval = tuple[float, float, float]
"""A mean, the low and the high end of its interval."""

SERIES = 6
WIDTH = 400


def shape(series: int, x: float, y: float, size: float = 5) -> str:
    """A mode's mark at a point: circle, square, diamond, triangle, triangle on its tip, cross."""
    name, s = f'class="f s{series % SERIES}"', size
    match series % SERIES:
        case 0:
            return f'<circle {name} cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}"/>'
        case 1:
            corners = [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]
        case 2:
            corners = [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)]
        case 3:
            corners = [(0, -1.25), (1.2, 0.9), (-1.2, 0.9)]
        case 4:
            corners = [(0, 1.25), (1.2, -0.9), (-1.2, -0.9)]
        case _:
            corners = [(-1.2, -0.4), (1.2, -0.4), (1.2, 0.4), (-1.2, 0.4)]
    return f'<path {name} d="M{" ".join(f"{x + s * dx:.1f},{y + s * dy:.1f}" for dx, dy in corners)}Z"/>'


def swatch(series: int) -> str:
    """A mode's mark for a heading or a legend."""
    return f'<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">{shape(series, 7, 7, 4.6)}</svg>'


def whisker(interval: Interval, series: int) -> str:
    """A dot with its interval on a line from 0 to 1, for a cell; the figures stand beside it in words."""
    mean, low, high = (4 + 112 * min(max(value, 0.0), 1.0) for value in interval)
    return (
        '<svg class="whisker" viewBox="0 0 120 14" aria-hidden="true"><path class="rail" d="M4,7H116"/>'
        f'<path class="ends" d="M4,4V10M60,5V9M116,4V10"/>'
        f'<path class="l s{series % SERIES}" d="M{low:.1f},7H{high:.1f}"/>'
        f"{shape(series, mean, 7, 4)}</svg>"
    )


def offset(interval: Interval, reach: float, tone: str) -> str:
    """A difference with its interval around zero, for a cell; the line ends at `reach`, `tone` is good, bad or open."""
    mean, low, high = (60 + 54 * min(max(value / reach, -1.0), 1.0) for value in interval)
    return (
        '<svg class="whisker" viewBox="0 0 120 14" aria-hidden="true"><path class="rail" d="M4,7H116"/>'
        f'<path class="zero" d="M60,1V13"/><path class="l {tone}" d="M{low:.1f},7H{high:.1f}"/>'
        f'<circle class="f {tone}" cx="{mean:.1f}" cy="7" r="4"/></svg>'
    )


def tally_bar(higher: int, same: int, lower: int, *, flipped: bool) -> str:
    """How many questions went each way, as one bar; `flipped` where lower is better."""
    total = max(higher + same + lower, 1)
    first, second, third = (120 * part / total for part in (higher, same, lower))
    better, worse = ("bad", "good") if flipped else ("good", "bad")
    return (
        '<svg class="whisker" viewBox="0 0 120 14" aria-hidden="true">'
        f'<rect class="f {better}" x="0" y="2" width="{first:.1f}" height="10"/>'
        f'<rect class="f even" x="{first:.1f}" y="2" width="{second:.1f}" height="10"/>'
        f'<rect class="f {worse}" x="{first + second:.1f}" y="2" width="{third:.1f}" height="10"/>'
        "</svg>"
    )


@dataclass(frozen=True, slots=True)
class Plane:
    """A place to plot in: the ranges of both axes, and the box in the drawing, in its units."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: float = 260
    left: float = 46
    right: float = 16
    top: float = 26
    bottom: float = 42

    def px(self, value: float) -> float:
        """Where a value of the x axis is."""
        low, high = self.x
        return self.left + (WIDTH - self.left - self.right) * (value - low) / ((high - low) or 1)

    def py(self, value: float) -> float:
        """Where a value of the y axis is."""
        low, high = self.y
        return self.height - self.bottom - (self.height - self.top - self.bottom) * (value - low) / ((high - low) or 1)

    def axes(self, labels: tuple[str, str], write: tuple[Callable[[float], str], Callable[[float], str]]) -> str:
        """Grid, ticks and names of both axes; a label that is empty leaves that axis without ticks."""
        floor, parts = self.height - self.bottom, []
        for value in ticks(*self.x) if labels[0] else ():
            x = self.px(value)
            parts.append(f'<path class="grid" d="M{x:.1f},{self.top}V{floor:.1f}"/>')
            parts.append(_text(x, floor + 16, write[0](value), "middle"))
        for value in ticks(*self.y) if labels[1] else ():
            y = self.py(value)
            parts.append(f'<path class="grid" d="M{self.left},{y:.1f}H{WIDTH - self.right}"/>')
            parts.append(_text(self.left - 7, y + 4, write[1](value), "end"))
        parts.append(f'<path class="axis" d="M{self.left},{self.top}V{floor:.1f}H{WIDTH - self.right}"/>')
        if labels[0]:
            parts.append(_text((self.left + WIDTH - self.right) / 2, self.height - 6, labels[0], "middle", "name"))
        if labels[1]:
            parts.append(_text(0, 11, labels[1], "start", "name"))
        return "".join(parts)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between two ends, about as many as wanted."""
    if high <= low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def quality_cost(modes: Sequence[Column], quality: Sequence[Interval], cost: Sequence[float], unit: str) -> str:
    """Quality with its interval over what an answer costs: better is up and to the left."""
    plane = Plane((0, max(cost) * 1.12 or 1), (0, _reach(high for *_, high in quality)), height=280)
    parts, taken = [], list[tuple[float, float]]()
    for mode, (mean, low, high), spent in zip(modes, quality, cost, strict=True):
        x, y, series = plane.px(spent), plane.py(mean), mode.series or 0
        parts.append(f'<path class="l s{series % SERIES}" d="M{x:.1f},{plane.py(low):.1f}V{plane.py(high):.1f}"/>')
        parts.append(shape(series, x, y, 6))
        side = -1 if x > WIDTH * 0.68 else 1
        # A name stands beside its mark, or as near as the names before it leave room.
        free = (y + 4 + step for step in (0, -14, 14, -28, 28, -42) if _is_free(x, y + 4 + step, taken, plane))
        at = next(free, y + 4)
        taken.append((x, at))
        parts.append(_text(x + side * 12, at, mode.name, "start" if side > 0 else "end", "strong"))
    grid = plane.axes((unit, "key-fact accuracy"), (_plain, _percent))
    says = "; ".join(
        f"{mode.name}: {_percent(mean)} at {_plain(spent)}"
        for mode, (mean, _, _), spent in zip(modes, quality, cost, strict=True)
    )
    return _svg("Quality against cost", says, plane.height, grid + "".join(parts))


def _is_free(x: float, y: float, taken: Sequence[tuple[float, float]], plane: Plane) -> bool:
    inside = plane.top + 8 <= y <= plane.height - plane.bottom - 3
    return inside and all(abs(y - other) >= 14 or abs(x - near) >= 110 for near, other in taken)


def _reach(shares: Iterable[float]) -> float:
    """A round share that holds them all: where an axis ends."""
    top = max(shares, default=0.0)
    return next((end for end in (0.1, 0.2, 0.4, 0.6, 0.8) if top <= end), 1.0)


def dot_rows(title: str, modes: Sequence[Column], shares: Mapping[str, Sequence[float]], label: str) -> str:
    """A line for each name with a mark for each mode: how the modes differ on each of many things."""
    lane, line = 6, 6 * len(modes) + 12  # each mode has a lane, so that no mark hides another
    height = line * len(shares) + 50
    plane = Plane(
        (0, _reach(value for row in shares.values() for value in row)), (0, 1), height=height, left=104, top=8
    )
    parts = []
    for n, (name, values) in enumerate(shares.items()):
        y = plane.top + line * n + line / 2
        parts.append(_text(plane.left - 8, y + 4, name, "end"))
        if n:
            parts.append(f'<path class="rail" d="M{plane.left},{y - line / 2:.1f}H{WIDTH - plane.right}"/>')
        for place, (mode, value) in enumerate(zip(modes, values, strict=True)):
            at = y + lane * (place - (len(modes) - 1) / 2)
            parts.append(shape(mode.series or 0, plane.px(value), at, 4))
    says = "; ".join(
        f"{name}: " + ", ".join(f"{mode.name} {_percent(value)}" for mode, value in zip(modes, values, strict=True))
        for name, values in shares.items()
    )
    return _svg(title, says, height, plane.axes((label, ""), (_percent, _percent)) + "".join(parts))


def reliability(mode: Column, bins: Sequence[Mapping[str, Any]]) -> str:
    """How often answers are right whose confidence is so high: on the diagonal it means what it says."""
    plane = Plane((0, 1), (0, 1), height=300, bottom=44)
    filled = [one for one in bins if one["n"]]
    most = max((one["n"] for one in filled), default=1)
    line = "M" + " ".join(f"{plane.px(one['confidence']):.1f},{plane.py(one['accuracy']):.1f}" for one in filled)
    series = mode.series or 0
    dots = "".join(
        shape(series, plane.px(one["confidence"]), plane.py(one["accuracy"]), 2.5 + 3.5 * math.sqrt(one["n"] / most))
        for one in filled
    )
    ideal = f'<path class="ideal" d="M{plane.px(0):.1f},{plane.py(0):.1f}L{plane.px(1):.1f},{plane.py(1):.1f}"/>'
    path = f'<path class="l thin s{series % SERIES}" d="{line}"/>' if len(filled) > 1 else ""
    says = "; ".join(
        f"confidence {_percent(one['confidence'])}: right {_percent(one['accuracy'])} of {one['n']}" for one in filled
    )
    grid = plane.axes(("confidence", "right"), (_percent, _percent))
    return _svg(f"Reliability of {mode.name}", says, plane.height, grid + ideal + path + dots)


def risk_coverage(modes: Sequence[Column], curves: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """How many answers are wrong when only the surest ones are given."""
    worst = max((point["risk"] for curve in curves for point in curve if point["coverage"] >= 0.1), default=1.0)
    plane = Plane((0, 1), (0, _reach([worst])), height=300, bottom=44)
    parts, says = [], []
    for mode, curve in zip(modes, curves, strict=True):
        spots = [(plane.px(point["coverage"]), plane.py(point["risk"])) for point in curve]
        series = (mode.series or 0) % SERIES
        parts.append(f'<path class="l thin s{series}" d="M{" ".join(f"{x:.1f},{y:.1f}" for x, y in spots)}"/>')
        parts.append(shape(series, *spots[-1], 4.6))
        says.append(
            f"{mode.name}: {_percent(curve[-1]['risk'])} wrong when {_percent(curve[-1]['coverage'])} are answered"
        )
    grid = plane.axes(("questions answered", "wrong among them"), (_percent, _percent))
    return _svg("Risk and coverage", "; ".join(says), plane.height, grid + "".join(parts))


def ranges(title: str, rows: Sequence[tuple[str, int, float, float]], label: str) -> str:
    """From the middle to the 95th percentile, a bar for each line: name, series, p50, p95 in milliseconds."""
    height = 28 * len(rows) + 50
    seconds = max(p95 for *_, p95 in rows) >= 2000
    unit = 1000.0 if seconds else 1.0
    plane = Plane(
        (0, max(p95 for *_, p95 in rows) / unit * 1.05),
        (0, 1),
        height=height,
        left=_room(name for name, *_ in rows),
        top=8,
    )
    parts = []
    for n, (name, series, p50, p95) in enumerate(rows):
        y = plane.top + 28 * n + 14
        near, far = plane.px(p50 / unit), plane.px(p95 / unit)
        parts.append(_text(plane.left - 8, y + 4, name, "end"))
        parts.append(f'<path class="l s{series % SERIES}" d="M{near:.1f},{y:.1f}H{far:.1f}M{far:.1f},{y - 5:.1f}v10"/>')
        parts.append(shape(series, near, y, 5))
    says = "; ".join(f"{name}: half within {p50:.0f} ms, 95 % within {p95:.0f} ms" for name, _, p50, p95 in rows)
    grid = plane.axes((f"{label}, {'seconds' if seconds else 'milliseconds'}", ""), (_plain, _plain))
    return _svg(title, says, height, grid + "".join(parts))


def _room(names: Iterable[str]) -> float:
    """Space on the left for the longest name."""
    return min(16 + 6.3 * max(map(len, names)), WIDTH / 2)


def _svg(title: str, says: str, height: float, body: str) -> str:
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height:.0f}"><title>{escape(title)}</title>'
        f"<desc>{escape(says)}</desc>{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick", more: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"
