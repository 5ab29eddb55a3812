"""The addresses under `/staff/queue`: from a request to hand-overs and judged answers, and to a page."""

import time

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.staff.queue_page import SHOWS, Queue, handover_html, judged_html, queue_html
from app.staff.request import Colleague, Fields, Workplace, back, show

router = APIRouter(prefix="/queue")

HEADING = 90
"""Characters of a question in a heading."""


@router.get("")
def queue(request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """The list."""
    shown = request.query_params.get("show", "all")
    shown = shown if shown in SHOWS else "all"
    closed = staff.handovers.open(closed=True) if shown == "closed" else ()
    waiting = Queue(staff.handovers.open(), staff.judged.open(), staff.corrections.suspended(), closed)
    return show(request, "Queue", "queue", queue_html(waiting, shown, person, staff.reader(person), time.time()))


@router.get("/handover/{number}")
def handover(number: int, request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """One hand-over."""
    one = staff.handovers.find(number)
    body = handover_html(one, person, staff.reader(person), time.time())
    return show(request, _heading(one.asked or "A conversation without a question"), "queue", body)


@router.post("/handover/{number}/take")
def take(number: int, person: Colleague, staff: Workplace, fields: Fields) -> RedirectResponse:
    """Take it, or take it over from who has it."""
    staff.handovers.take(number, person, dict(fields).get("from", ""))
    return back(f"/staff/queue/handover/{number}", "taken")


@router.post("/handover/{number}/give-back")
def give_back(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Let somebody else take it."""
    staff.handovers.give_back(number, person)
    return back("/staff/queue", "given-back")


@router.post("/handover/{number}/reply")
def reply(number: int, person: Colleague, staff: Workplace, fields: Fields) -> RedirectResponse:
    """Answer, and close it where that is wanted too."""
    given = dict(fields)
    staff.handovers.reply(number, person, given.get("text", ""))
    if not given.get("close"):
        return back(f"/staff/queue/handover/{number}", "sent")
    staff.handovers.finish(number, person)
    return back("/staff/queue", "closed")


@router.post("/handover/{number}/close")
def close(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Give the word back to the assistant."""
    staff.handovers.finish(number, person)
    return back("/staff/queue", "closed")


@router.post("/delivery/{number}/again")
def send_again(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Try once more what could not be delivered."""
    staff.post.again(number, person)
    return back("/staff/queue", "again")


@router.get("/answer/{number}")
def answer(number: int, request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """One answer that was judged bad."""
    one = staff.judged.find(number)
    body = judged_html(one, staff.judged.packet(one.asked), staff.reader(person), time.time())
    return show(request, _heading(one.asked.question), "queue", body)


@router.post("/answer/{number}/dismiss")
def dismiss(number: int, person: Colleague, staff: Workplace) -> RedirectResponse:
    """Settle it without a correction."""
    staff.judged.dismiss(number, person)
    return back("/staff/queue", "dismissed")


def _heading(question: str) -> str:
    text = " ".join(question.split())
    return text if len(text) <= HEADING else f"{text[: HEADING - 1].rstrip()}…"
