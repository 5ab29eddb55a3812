"""`/staff/adapters`: what serves and what else there is, promotion and rollback, and the steps to the next version."""

import hashlib
import time
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.accounts import audit
from app.desk import Desk
from app.loop.adapter_evidence import Standing, adapters_of
from app.loop.correction_rows import included_rows
from app.loop.training_rows import Readiness, ReadinessCache
from app.people import Person
from app.staff import adapters_page as page
from app.staff.job_pages import news, start_job
from app.staff.request import Admin, Fields, Workplace, back, show
from app.staff.workplace import Staff
from app.web.harden import HEADERS
from finetune.training.recipe import shipped
from ingest.errors import DeskmateError

router = APIRouter()

KINDS = frozenset({"rows", "feedback", "synth", "tune", "evaluate"})
SEARCHED = 2_000
"""Rows of the audit that are looked through for one adapter."""


@router.get("/adapters")
def _adapters(request: Request, person: Admin, staff: Workplace) -> HTMLResponse:
    desk, found = staff.desk, adapters_of(staff.desk)
    steps = page.steps_html(
        readiness_of(request, desk) if desk.store.current_name() else None,
        found.serving is not None,
        _recipes(),
        desk.settings.eval.questions is not None,
        desk.jobs.running() is not None,
    )
    return show(request, "Adapters", "adapters", page.adapters_body(found, steps, news(desk.jobs, KINDS)))


@router.get("/adapter")
def _adapter(request: Request, person: Admin, staff: Workplace, key: str) -> HTMLResponse:
    one = _found(staff.desk, key)
    log = [entry for entry in audit.entries(staff.database, SEARCHED) if entry.about.get("adapter") == one.adapter.id]
    card = f"/staff/adapter/data?key={one.key}" if _data_card(staff.desk, person, one) else ""
    return show(request, one.adapter.id, "adapters", page.adapter_body(one, card, log, time.time()))


@router.get("/adapter/data")
def _data(person: Admin, staff: Workplace, key: str) -> Response:
    """The card of an adapter's training data: it has examples, so it is for those who may read all documents of it."""
    card = _data_card(staff.desk, person, _found(staff.desk, key))
    if card is None:
        raise HTTPException(404, "the training data of this adapter is not here any more, or not for you")
    return PlainTextResponse(card.read_text("utf-8"), headers=HEADERS | {"cache-control": "no-store"})


@router.post("/adapters/promote")
def _promote(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    """Let a version serve: one that the gate let through, or any with a reason. It is loaded first."""
    asked = dict(fields)
    one, reason = _found(staff.desk, asked.get("adapter", "")), asked.get("reason", "")
    if not one.allowed and reason not in page.FORCED:
        raise DeskmateError(f"the gate has not let {one.adapter.id} through; say why it is to serve all the same")
    if not one.ours:
        raise DeskmateError(f"{one.adapter.id} lies outside the workspace; name its folder in chat.adapter")
    desk, adapter = staff.desk, one.adapter
    desk.model.load(adapter)
    with staff.database.writing() as connection:
        about = {"adapter": adapter.id, "checksum": adapter.checksum, "reason": "" if one.allowed else reason}
        audit.note(connection, person.id, "adapter.promoted", about)
        desk.registry.promote(adapter)
    return back("/staff/adapters", "promoted")


@router.post("/adapters/rollback")
def _rollback(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    desk = staff.desk
    with staff.database.writing() as connection:
        audit.note(connection, person.id, "adapter.rolled-back", {"adapter": desk.registry.served_id()})
        desk.registry.rollback()
    return back("/staff/adapters", "rolled-back")


@router.post("/adapters/job")
def _job(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    """Start one of the loop's steps."""
    asked = dict(fields)
    step = asked.get("step", "")
    title, commands = _commands(staff, step, asked)
    start_job(staff, person, step, title, commands)
    return back("/staff/adapters")


def _commands(staff: Staff, step: str, asked: dict[str, str]) -> tuple[str, list[tuple[str, ...]]]:
    """What a step is called, and the commands that it is.

    Raises:
        DeskmateError: there is no such step, or it lacks something.
    """
    match step:
        case "rows":
            return "Preparing training rows", [("feedback", "export")]
        case "feedback":
            return "Tuning from feedback", [("tune", "--from-feedback")]
        case "synth":
            return "Making training questions", _synth(staff)
        case "tune":
            if asked.get("recipe") not in _recipes():
                raise DeskmateError("choose one of the recipes")
            return f"Tuning with {asked['recipe']}", [("tune", "--recipe", asked["recipe"])]
        case "evaluate":
            one = _found(staff.desk, asked.get("adapter", ""))
            if staff.desk.settings.eval.questions is None:
                raise DeskmateError("there is no question set; name one under [eval] in deskmate.toml")
            reference = one.adapter.id if one.ours else str(one.adapter.folder)
            command = ("eval", "--gate", "--modes", "hybrid,rag-only", "--adapter", reference)
            return f"Evaluating {one.adapter.id}", [command]
    raise DeskmateError("there is no such step")


def _synth(staff: Staff) -> list[tuple[str, ...]]:
    """Questions out of the documents, and with them what the help desk answered and reviewed."""
    if next(included_rows(staff.corrections), None) is None:
        return [("synth", "--yes")]
    file = str(staff.desk.workspace.root / "feedback" / "answers.jsonl")
    return [("feedback", "answers", "--out", file), ("synth", "--yes", "--include", file)]


def _recipes() -> list[str]:
    """The shipped recipes, the embedded model's first; `tiny` is for tests."""
    return sorted((name for name in shipped() if name != "tiny"), key=lambda name: not name.endswith("-cpu"))


def _found(desk: Desk, key: str) -> Standing:
    one = next((one for one in adapters_of(desk).standings if one.key == key), None)
    if one is None:
        raise HTTPException(404, "there is no such adapter; it may have been removed meanwhile")
    return one


def _data_card(desk: Desk, person: Person, one: Standing) -> Path | None:
    """The training data's card, where it is that of this adapter and whoever asks may read all it rests on."""
    card, files = desk.workspace.qa / "card.md", ("train.jsonl", "held_out.jsonl")
    if not card.is_file() or not one.adapter.cleared(person.groups, desk.serving.standing(one.adapter).access):
        return None
    data = b"".join(path.read_bytes() for name in files if (path := desk.workspace.qa / name).is_file())
    return card if hashlib.sha256(data).hexdigest() == one.adapter.card.data_hash else None


def readiness_of(request: Request, desk: Desk) -> Readiness:
    """How many training rows there are, kept from page to page."""
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = ReadinessCache(desk)
    cache: ReadinessCache = state.readiness
    return cache.get()
