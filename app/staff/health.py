"""`/staff/health`: the last weeks in figures, and what to do about them.

What is quickly counted is counted anew; whether questions have moved is computed by a job, and its last word is shown.
"""

import time
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.loop.drift import Advice, Moved, Signs, Week, advise, read_moved, signs
from app.staff.adapters import readiness_of
from app.staff.frame import figures, lead, when_html
from app.staff.job_pages import news, start_job
from app.staff.loop import scripts
from app.staff.request import Admin, Fields, Workplace, back, show
from app.web.charts import bars, line
from app.web.pages import count_of, escape, sentence
from ingest.errors import DeskmateError

router = APIRouter()

DO = {
    "ingest": ("Read the documents again", "/staff/documents", "warn"),
    "tune": ("Tune again", "/staff/adapters", "warn"),
    "write": ("See the gaps", "/staff/gaps", "warn"),
    "feedback": ("Tune from feedback", "/staff/adapters", "good"),
    "wait": ("", "", "plain"),
    "fine": ("", "", "good"),
}
"""What each advice leads to."""


@router.get("/health")
def _health(request: Request, person: Admin, staff: Workplace) -> HTMLResponse:
    desk, now = staff.desk, time.time()
    if desk.store.current_name() is None:
        raise DeskmateError("nothing was ingested yet; upload documents first")
    found = signs(desk, now, read_moved(desk.workspace.root), readiness_of(request, desk))
    body = health_body(found, now, news(desk.jobs, frozenset({"drift"})), desk.jobs.running() is not None)
    return show(request, "Health", "health", body)


@router.post("/health/look")
def _look(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    start_job(staff, person, "drift", "Looking at what people ask", [("drift",)])
    return back("/staff/health")


def health_body(found: Signs, now: float, job: str, busy: bool) -> str:
    """The page.

    Args:
        found: the signs.
        now: seconds since 1970.
        job: the card of what runs or ran, or empty.
        busy: whether something runs.
    """
    advice = "".join(map(_advice, advise(found)))
    return (
        lead("What people ask and what they think of the answers, week by week, and what to do about it.")
        + job
        + f'<ul class="ds-list dl-advice">{advice}</ul>'
        + _figures(found.weeks)
        + _charts(found.weeks)
        + _moved(found.moved, now, busy)
        + _table(found.weeks)
        + scripts()
    )


def _advice(one: Advice) -> str:
    label, address, tone = DO[one.what]
    link = f'<a class="ds-button" href="{address}">{label}</a>' if label else ""
    return f'<li class="dl-{tone}"><p>{escape(sentence(one.why))}</p>{link}</li>'


def _figures(weeks: Sequence[Week]) -> str:
    month = weeks[-4:]
    asked = sum(week.questions for week in month)
    up, down = sum(week.up for week in month), sum(week.down for week in month)
    return figures(
        [
            ("Questions", f"{asked:,}", "in four weeks"),
            ("Declined", _percent(sum(week.declined for week in month), asked), "of them"),
            ("Liked", _percent(up, up + down), f"of {count_of(up + down, 'thumb')}"),
            ("Handed over", f"{sum(week.handovers for week in month):,}", "to a person"),
        ]
    )


def _charts(weeks: Sequence[Week]) -> str:
    starts = [week.start for week in weeks]
    answered = [week.questions - week.declined for week in weeks]
    charts = (
        bars(
            "Questions",
            starts,
            [("answered", "dc-a", answered), ("declined", "dc-b", [week.declined for week in weeks])],
        ),
        bars(
            "Thumbs",
            starts,
            [("up", "dc-a", [week.up for week in weeks]), ("down", "dc-c", [week.down for week in weeks])],
        ),
        line("Mean confidence", starts, [week.confidence for week in weeks]),
        bars("Handed over", starts, [("handed over", "dc-a", [week.handovers for week in weeks])]),
    )
    return f'<div class="dc-charts">{"".join(charts)}</div>'


def _moved(found: Moved | None, now: float, busy: bool) -> str:
    """What the last look at the questions found, and the button for another."""
    button = (
        '<form method="post" action="/staff/health/look"><button class="ds-button"'
        f"{' disabled' if busy else ''}>Look again</button></form>"
    )
    if found is None:
        said = "Nobody has looked yet whether questions have moved."
    elif found.p is None:
        said = f"{count_of(found.recent, 'question')} in two weeks and {found.before} before: too few to compare."
    else:
        said = (
            f"{count_of(found.recent, 'question')} of the last two weeks against {found.before} of the ten before, "
            f"by the energy distance of their embeddings: {found.energy:.3f}, p = {found.p:.3f}."
        )
        if found.nearest is not None and found.nearest_before is not None:
            said += (
                f" The middle question is {found.nearest:.2f} from the nearest one that {found.adapter} was tuned on; "
                f"before it was {found.nearest_before:.2f}."
            )
    when = f'<p class="ds-small">Looked {when_html(found.at, now)}.</p>' if found else ""
    return f'<section class="ds-card"><h2>Do people ask other things?</h2><p>{escape(said)}</p>{when}{button}</section>'


def _table(weeks: Sequence[Week]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{time.strftime("%Y-%m-%d", time.gmtime(week.start))}</th>'
        + "".join(
            f'<td class="ds-number">{value}</td>'
            for value in (week.questions, week.declined, week.up, week.down, week.handovers)
        )
        + f'<td class="ds-number">{"—" if week.confidence is None else f"{week.confidence:.2f}"}</td></tr>'
        for week in weeks
    )
    names = ("Week of", "Questions", "Declined", "Up", "Down", "Handed over", "Confidence")
    head = "".join(f'<th scope="col"{" class=ds-number" if at else ""}>{name}</th>' for at, name in enumerate(names))
    return (
        '<details class="ds-card"><summary>The figures as a table</summary><div class="ds-scroll" tabindex="0" '
        'role="region" aria-label="Figures by week"><table><thead>'
        f"<tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _percent(part: int, of: int) -> str:
    return f"{100 * part / of:.0f}\u00a0%" if of else "—"
