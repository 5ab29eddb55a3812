"""`/staff/jobs`: what runs beside the chat and what ran, with its log; and the card that other pages show of a job."""

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from app.accounts import audit
from app.loop.jobs import Far, Job, Jobs, State
from app.people import Person
from app.staff.frame import badge, empty, lead, when_html
from app.staff.loop import scripts
from app.staff.request import Admin, Fields, Workplace, back, show
from app.staff.workplace import Staff
from app.web.pages import count_of, escape

router = APIRouter()

TONES = {State.RUNNING: "plain", State.DONE: "good", State.FAILED: "bad", State.STOPPED: "warn", State.LOST: "bad"}

NEWS_S = 300
"""For so long the end of a job is news."""

STAGES = {
    "read": ("Reading files", "files"),
    "embed": ("Embedding", "chunks"),
    "teach": ("Asking the teacher", "requests"),
    "retrieve": ("Retrieving passages", "questions"),
    "measure": ("Measuring on held-out labels", "labels"),
    "prefer": ("Tuning on feedback", "steps"),
    "tune": ("Tuning", "steps"),
}
"""What a stage is called while it goes on, and what is counted in it."""


def start_job(staff: Staff, person: Person, kind: str, title: str, commands: list[tuple[str, ...]]) -> Job:
    """Start a job and note who wanted it.

    Raises:
        DeskmateError: another one is running, or the disk refuses.
    """
    job = staff.desk.jobs.start(kind, title, commands, person.id)
    with staff.database.writing() as connection:
        audit.note(connection, person.id, "job.started", {"job": job.id, "kind": kind})
    return job


@router.get("/jobs")
def _jobs(request: Request, person: Admin, staff: Workplace) -> HTMLResponse:
    jobs, now = staff.desk.jobs.all(), time.time()
    items = "".join(
        f'<li><a class="ds-cover" href="/staff/jobs/{job.id}">{escape(job.title)}</a>'
        f'<div class="ds-meta">{badge(job.state, TONES[job.state])}<span>{when_html(job.started, now)}</span>'
        f"<span>{escape(_took(job, now))}</span></div></li>"
        for job in jobs
    )
    body = lead("Long work runs beside the chat, one thing at a time and only with what the chat leaves it.")
    body += scripts()
    nothing = empty("Nothing has run yet", "Reading documents, tuning and evaluating are started where they belong.")
    return show(request, "Jobs", "documents", body + (f'<ul class="ds-list">{items}</ul>' if items else nothing))


@router.get("/jobs/{name}")
def _job(request: Request, name: str, person: Admin, staff: Workplace) -> HTMLResponse:
    job = _found(staff.desk.jobs, name)
    commands = "\n".join("deskmate " + " ".join(command) for command in job.commands)
    log = staff.desk.jobs.log(job)
    body = (
        f"{card(staff.desk.jobs, job, whole=False)}"
        f'<section class="ds-stack"><h2>What it runs</h2><pre class="dl-log">{escape(commands)}</pre></section>'
        '<section class="ds-stack"><h2 id="dl-log-label">What it printed</h2>'
        f'<pre class="dl-log" data-log tabindex="0" role="region" aria-labelledby="dl-log-label">{escape(log)}</pre>'
        f'</section><p><a href="/staff/jobs">All jobs</a></p>{scripts()}'
    )
    return show(request, job.title, "documents", body)


@router.get("/jobs/{name}/state")
def _state(name: str, person: Admin, staff: Workplace) -> JSONResponse:
    """What the card of a running job asks for while somebody looks at it."""
    jobs = staff.desk.jobs
    job = _found(jobs, name)
    done, total, text = _how_far(jobs.far(job))
    state: dict[str, Any] = {"state": job.state, "done": done, "total": total, "text": text, "log": jobs.log(job)}
    return JSONResponse(state, headers={"cache-control": "no-store"})


@router.post("/jobs/{name}/stop")
def _stop(name: str, person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    job = _found(staff.desk.jobs, name)
    staff.desk.jobs.stop(job)
    with staff.database.writing() as connection:
        audit.note(connection, person.id, "job.stopped", {"job": job.id})
    return back(f"/staff/jobs/{job.id}", "stopping")


def card(jobs: Jobs, job: Job, whole: bool = True) -> str:
    """A job as a card: how it stands, how far it is, and a way to stop it. It is live where scripts run.

    Args:
        jobs: where it lies.
        job: which.
        whole: with its title and a link to its page.
    """
    now, running = time.time(), job.state is State.RUNNING
    done, total, text = _how_far(jobs.far(job))
    bar = f'<progress aria-label="How far it is" max="{total or 1}"{f" value={done!r}" if total else ""}></progress>'
    stop = (
        f'<form method="post" action="/staff/jobs/{job.id}/stop"><button class="ds-button ds-danger"'
        f"{' disabled' if job.stopping else ''}>{'Stopping…' if job.stopping else 'Stop it'}</button></form>"
    )
    head = f'<h2><a href="/staff/jobs/{job.id}">{escape(job.title)}</a></h2>' if whole else ""
    ended = "" if running else f"<span>{escape(_took(job, now))}</span>"
    code = f"<span>exit code {job.code}</span>" if job.state is State.FAILED else ""
    why = escape(next(iter(jobs.log(job).rstrip().splitlines()[-1:]), "")) if job.state is State.FAILED else ""
    lost = "<p>Its process is gone without a word: the machine went down, or memory ran out. Start it again.</p>"
    live = f' data-job="{job.id}"' if running else ""
    return (
        f'<section class="ds-card dl-job"{live}>{head}<div class="ds-meta">{badge(job.state, TONES[job.state])}'
        f"<span>started {when_html(job.started, now)}</span>{ended}{code}</div>"
        + (
            f'<div class="dl-far">{bar}<p class="ds-small" role="status">{escape(text)}</p>{stop}</div>'
            if running
            else ""
        )
        + (lost if job.state is State.LOST else "")
        + (f"<p>{why}</p>" if why else "")
        + "</section>"
    )


def news(jobs: Jobs, kinds: frozenset[str]) -> str:
    """The card of what runs, or of what ran last of some kinds: where it failed, or is new."""
    newest = jobs.all()
    running = next((job for job in newest[:1] if job.state is State.RUNNING), None)
    last = next((job for job in newest if job.kind in kinds), None)
    if running:
        return card(jobs, running)
    failed = last and last.state in (State.FAILED, State.LOST)
    if last and (failed or time.time() - (last.ended or 0) < NEWS_S):
        return card(jobs, last)
    return ""


def _how_far(stages: list[Far]) -> tuple[int, int, str]:
    """The stage that is under way: done, of how many, and both in words; zeros where the command does not say."""
    if not stages:
        return 0, 0, "Working…"
    open_stages = [one for one in stages if one.done < one.total]
    far = open_stages[0] if open_stages else stages[-1]
    label, unit = STAGES.get(far.stage, (far.stage, "steps"))
    return far.done, far.total, f"{label}: {far.done:,} of {far.total:,} {unit}"


def _took(job: Job, now: float) -> str:
    """How long a job has run."""
    if job.ended is None and job.state is not State.RUNNING:
        return ""
    seconds = round((job.ended or now) - job.started)
    took = f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else count_of(seconds, "second")
    return f"for {took}" if job.state is State.RUNNING else f"took {took}"


def _found(jobs: Jobs, name: str) -> Job:
    job = jobs.find(name)
    if job is None:
        raise HTTPException(404, "there is no such job; the oldest ones are forgotten")
    return job
