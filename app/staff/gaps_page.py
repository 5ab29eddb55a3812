"""What could not be answered, as HTML: one card for each gap. Pure; everything is escaped. Never says who asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.staff.frame import badge, empty, figures, lead
from app.staff.gaps import DAYS, Gap
from app.web.pages import count_of, escape

ALL = 25
"""Gaps on the page, the most frequent; a longer list helps nobody."""

STEADY = 1.5
"""Questions a week more or fewer than before that may be chance."""

BAR, GAP, HIGH = 9, 3, 26
"""Width, distance and greatest height of a bar, in pixels."""

INTRO = (
    f"Questions of the last {DAYS} days that were declined, judged not found, or handed over to a person, put together "
    "by meaning. Personal data is masked, and nobody is named."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A gap with what belongs to it on the page.

    `examples` are masked; `nearest` are documents that the reader may open, with what they are called; `corrected`:
    the central question has an answer of the help desk by now.
    """

    gap: Gap
    examples: Sequence[str]
    nearest: Sequence[tuple[str, str]]
    corrected: bool


def gaps_html(shown: Sequence[Shown], number: int, questions: int, now: float) -> str:
    """The page: `number` gaps of so many `questions`, of which some are `shown`."""
    if not shown:
        return lead(INTRO) + empty(
            "No gaps", "Every question of these weeks was answered, and nobody said that something was not found."
        )
    week = sum(one.gap.weeks(now)[-1] for one in shown)
    tiles = figures(
        [
            ("Unanswered questions", f"{questions:,}", f"in {DAYS} days"),
            ("Things they are about", f"{number:,}", ""),
            ("This week", f"{week:,}", "among those below"),
        ]
    )
    cards = "".join(_card(one, now) for one in shown)
    rest = number - len(shown)
    more = f'<p class="ds-small">{count_of(rest, "smaller gap")} not shown.</p>' if rest > 0 else ""
    return f'{lead(INTRO)}{tiles}<ul class="ds-list">{cards}</ul>{more}'


def waiting_html() -> str:
    """While the questions are being read for the first time."""
    return (
        f"{lead(INTRO)}"
        + empty("Reading the questions", "This takes a moment the first time.")
        + '<p class="ds-actions"><a class="ds-button ds-primary" href="/staff/gaps">Look again</a></p>'
    )


def _card(one: Shown, now: float) -> str:
    gap = one.gap
    label, *others = one.examples
    listed = "".join(f"<li dir='auto'>{escape(other)}</li>" for other in others)
    examples = f'<details><summary>How else it was asked</summary><ul class="ds-plain">{listed}</ul></details>'
    nearest = ", ".join(
        f'<a href="/staff/document?doc={escape(doc)}">{escape(title or doc)}</a>' for doc, title in one.nearest
    )
    near = f'<p class="ds-small">Nearest documents: {nearest}</p>' if nearest else ""
    done = badge("answered by the help desk", "good") if one.corrected else ""
    write = (
        f'<a class="ds-button" href="/staff/corrections/new?exchange={gap.questions[0].exchange}">Write the answer</a>'
    )
    return (
        f'<li class="ds-gap"><div><h2 dir="auto">{escape(label)}</h2><p class="ds-meta">'
        f"<span>{count_of(len(gap.questions), 'question')}</span><span>{_askers(gap.askers)}</span>{_trend(gap, now)}"
        f"{done}</p>{examples if others else ''}{near}</div>"
        f'<div class="ds-side">{_bars(gap.weeks(now))}{write}</div></li>'
    )


def _askers(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _trend(gap: Gap, now: float) -> str:
    rise = gap.rise(now)
    if rise > STEADY:
        return badge("rising", "warn")
    return badge("falling", "good") if rise < -STEADY else ""


def _bars(weeks: Sequence[int]) -> str:
    """How often in each week, as bars."""
    most = max(*weeks, 1)
    bars = []
    for place, number in enumerate(weeks):
        high = max(round(HIGH * number / most), 1)
        kind = "ds-now" if place == len(weeks) - 1 else "ds-then"
        x, y = place * (BAR + GAP), HIGH - high
        bars.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{BAR}" height="{high}" rx="2"/>')
    *before, this = weeks
    said = f"This week {this}; in the weeks before, oldest first: {', '.join(map(str, before))}."
    wide = len(weeks) * (BAR + GAP) - GAP
    return (
        f'<svg class="ds-bars" viewBox="0 0 {wide} {HIGH}" width="{wide}" height="{HIGH}" role="img" '
        f'aria-label="{said}"><title>{said}</title>{"".join(bars)}</svg>'
    )
