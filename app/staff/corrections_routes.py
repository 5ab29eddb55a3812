"""The addresses under `/staff/corrections`: from a request to the help desk's own answers, and to a page."""

import time
from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.loop import correction_form
from app.loop.correction_form import Form
from app.people import Person
from app.staff.corrections_page import SHOWS, Checked, Origin, correction_html, form_html, list_html
from app.staff.judged import Asked
from app.staff.request import Colleague, Fields, Workplace, back, show
from app.staff.workplace import Staff
from app.who import person_of
from ingest.errors import DeskmateError
from ingest.records import Chunk

router = APIRouter(prefix="/corrections")

FOUND = 8
"""Passages that are offered for a question."""


@router.get("")
def corrections(request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """The list."""
    shown = request.query_params.get("show", "active")
    shown = shown if shown in SHOWS else "active"
    active = staff.corrections.all()
    lists = {
        "active": active,
        "review": [one for one in active if one.state == "serving" and not one.suspended],
        "again": [one for one in active if one.suspended],
    }
    numbers = {name: len(found) for name, found in lists.items()}
    chosen = staff.corrections.all(("withdrawn",)) if shown == "withdrawn" else lists[shown]
    body = list_html(chosen, numbers, shown, staff.reader(person), time.time())
    return show(request, "Corrections", "corrections", body)


@router.get("/new")
def new(request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """The form: for an exchange, a judged answer, an old correction, or empty."""
    form, origin = _begun(request, person, staff)
    return _form(request, form, origin, Checked())


@router.post("/new")
def written(request: Request, person: Colleague, staff: Workplace, fields: Fields) -> Response:
    """Look at what was written, or keep it."""
    form, origin = _sent(fields, person, staff)
    voice, do = staff.desk.voice, dict(fields).get("do", "save")
    try:
        if do == "find":
            words = dict(fields).get("find", "").strip() or form.question
            return _form(request, form.with_more(_search(staff, person, words)), origin, Checked())
        if do == "cite":
            form = correction_form.with_citations(form, voice)
        broken = correction_form.problems(form, voice)
        draft = correction_form.drafted(form, person, staff.holdings, origin.exchange)
        if do != "keep" and (broken or do != "save"):
            return _form(request, form, origin, Checked(broken=broken, looked=True))
        with staff.database.writing() as connection:
            number = staff.corrections.save(connection, draft, person, origin.replaces)
            if origin.judgement is not None:
                staff.judged.settle(connection, origin.judgement, person, "corrected")
    except DeskmateError as error:
        return _form(request, form, origin, Checked(str(error)), 422)
    return back(f"/staff/corrections/{number}", "corrected")


@router.get("/{number}")
def correction(number: int, request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """One correction."""
    one = staff.corrections.find(number)
    may_review = staff.corrections.may_review(one, person)
    body = correction_html(one, may_review, staff.reader(person), time.time())
    return show(request, one.draft.question, "corrections", body)


@router.post("/{number}/withdraw")
def withdraw(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Give it no more."""
    staff.corrections.withdraw(number, person)
    return back("/staff/corrections", "withdrawn")


@router.post("/{number}/review")
def review(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Say that it is right."""
    staff.corrections.review(number, person)
    return back(f"/staff/corrections/{number}", "reviewed")


def _form(request: Request, form: Form, origin: Origin, checked: Checked, status: int = 200) -> HTMLResponse:
    body = form_html(form, origin, checked, person_of(request))
    return show(request, "Write the right answer", "corrections", body, status)


def _begun(request: Request, person: Person, staff: Staff) -> tuple[Form, Origin]:
    """A form that is filled in with what is known."""
    given = request.query_params
    again, judgement, exchange = (_digits(given.get(name, "")) for name in ("again", "judgement", "exchange"))
    reader = staff.reader(person)
    if again is not None:
        old = staff.corrections.find(again)
        if not reader.may_see(old.draft.rests):
            raise HTTPException(403, "this correction rests on documents that you may not read, or that are gone")
        numbers = _chunks(staff, person, [(one.n, one.chunk_id) for one in old.draft.cited])
        form = correction_form.filled(old.draft.question, old.draft.answer, numbers)
        if not old.draft.rests.docs:
            form = replace(form, documents=False, groups=tuple(sorted(old.draft.rests.groups[0])))
        origin = Origin(exchange=old.draft.exchange, replaces=again if old.active else None)
        return form.with_more(_search(staff, person, old.draft.question)), origin
    if judgement is None and exchange is None:
        question = given.get("question", "")[:2000]
        return Form(question, "", _search(staff, person, question)), Origin()
    origin, asked = _origin(person, staff, judgement, exchange or 0)
    form = Form(asked.whole, "", ())
    if reader.may_see(asked.rests):
        old_answer = "" if asked.refused else asked.answer
        form = correction_form.filled(asked.whole, old_answer, _chunks(staff, person, asked.cited))
        form = replace(form, answer=origin.proposal or form.answer)
    standing = staff.corrections.of(asked.whole, person.groups)
    origin = replace(origin, replaces=standing.id if standing else None)
    return form.with_more(_search(staff, person, asked.whole)), origin


def _origin(person: Person, staff: Staff, judgement: int | None, exchange: int) -> tuple[Origin, Asked]:
    """What a correction comes from, with what was said before as far as the author may see it."""
    judged = staff.judged.find(judgement) if judgement is not None else None
    asked = judged.asked if judged else staff.judged.exchange(exchange)
    origin = Origin(exchange=asked.id, judgement=judged.id if judged else None)
    if staff.reader(person).may_see(asked.rests):
        origin = replace(origin, old_answer=asked.answer, proposal=judged.proposal if judged else "")
    return origin, asked


def _sent(fields: Sequence[tuple[str, str]], person: Person, staff: Staff) -> tuple[Form, Origin]:
    """What came with a form; of its passages those that the author may read now."""
    given = dict(fields)
    ids = [value for name, value in fields if name == "passage"][: correction_form.MOST_PASSAGES]
    chunks = staff.desk.passages(ids, person.groups) if ids else {}
    if any(one not in chunks for one in ids):
        raise HTTPException(409, "the documents have changed since you opened this form; open the question again")
    form = Form(
        question=given.get("question", ""),
        answer=given.get("answer", "").replace("\r\n", "\n"),
        passages=tuple(chunks[one] for one in ids),
        documents=given.get("rests", "documents") == "documents",
        groups=tuple(value for name, value in fields if name == "group"),
    )
    exchange, judgement, replaces = (_digits(given.get(name, "")) for name in ("exchange", "judgement", "replaces"))
    if judgement is None and exchange is None:
        return form, Origin(replaces=replaces)
    return form, replace(_origin(person, staff, judgement, exchange or 0)[0], replaces=replaces)


def _chunks(staff: Staff, person: Person, cited: Sequence[tuple[int, str]]) -> dict[int, Chunk]:
    """The passages behind an old answer's numbers, as far as they are still there."""
    found = staff.desk.passages([chunk_id for _, chunk_id in cited], person.groups) if cited else {}
    return {n: found[chunk_id] for n, chunk_id in cited if chunk_id in found}


def _search(staff: Staff, person: Person, words: str) -> tuple[Chunk, ...]:
    if not words.strip():
        return ()
    found = staff.desk.searcher.search(words[:2000], k=FOUND, groups=person.groups)
    return tuple(hit.chunk for hit in found.hits)


def _digits(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None
