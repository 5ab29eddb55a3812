"""`/staff/compare`: one question in the four modes, for the groups of whoever asks. Keeps nothing."""

import logging
import threading
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from app.answering.answer import Event, Finished
from app.answering.modes import ALL, Mode
from app.chat.conversation import UNEXPECTED
from app.people import Person
from app.staff import compare_page as page
from app.staff.request import Colleague, Fields, Workplace, respond, show
from app.staff.workplace import Staff
from app.web.line import FullError, GreedyError, Line
from ingest.errors import DeskmateError

router = APIRouter()

AT_ONCE, WAITING, WAIT_S, EACH = 1, 16, 60.0, 8
"""The help desk's comparisons take one place beside the askers' own, however many compare; two of one person wait."""

BUSY = "others are comparing just now; try again in a minute"

YOURS = "you are comparing other questions just now; wait until they are answered"

log = logging.getLogger("deskmate.compare")


@router.get("/compare")
def _compare(request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    return show(request, "Compare", "compare", page.compare_body("", [(mode, "") for mode in ALL], False))


@router.post("/compare")
async def _all(request: Request, person: Colleague, staff: Workplace, fields: Fields) -> HTMLResponse:
    """All four at once, for browsers without script."""
    question = _question(fields)
    columns = [(mode, await _answer(request, person, staff, question, mode)) for mode in ALL]
    return show(request, "Compare", "compare", page.compare_body(question, columns, True))


@router.post("/compare/answer")
async def _one(request: Request, person: Colleague, staff: Workplace, fields: Fields) -> HTMLResponse:
    """One mode's column, as a piece of the page."""
    mode = dict(fields).get("mode", "")
    if mode not in list(Mode):
        raise HTTPException(422, "there is no such mode")
    return respond(await _answer(request, person, staff, _question(fields), Mode(mode)))


def _question(fields: list[tuple[str, str]]) -> str:
    question = dict(fields).get("question", "").strip()
    if not question or len(question) > page.LONGEST:
        raise HTTPException(422, f"ask something, in at most {page.LONGEST:,} characters")
    return question


async def _answer(request: Request, person: Person, staff: Staff, question: str, mode: Mode) -> str:
    """A column's contents: the answer, or a sentence on why there is none. Stops when whoever asked has left."""
    desk = staff.desk
    cancel = threading.Event()

    def work() -> Iterator[Event]:
        return desk.stream(question, mode=mode, groups=person.groups, cancel=cancel)

    try:
        if mode not in await run_in_threadpool(desk.modes, person.groups):
            offer = await run_in_threadpool(desk.serving.offer, person.groups)
            return page.missing_html(f"no adapter serves you: {offer.reason}")
        async for event in _line(request).run(work, cancel, person.id):
            if await request.is_disconnected():
                cancel.set()
            if isinstance(event, Finished):
                return page.column_html(event.answer)
    except GreedyError:
        return page.missing_html(YOURS)
    except FullError:
        return page.missing_html(BUSY)
    except DeskmateError as error:
        return page.missing_html(str(error))
    except Exception:  # the outermost loop: whoever asks gets a sentence, the log the traceback
        log.exception("a question could not be compared")
        return page.missing_html(UNEXPECTED.rstrip("."))
    return page.missing_html("it was stopped")


def _line(request: Request) -> Line:
    """The line of all who compare, made with the first."""
    state = request.app.state
    if not hasattr(state, "compared"):
        state.compared = Line(AT_ONCE, WAITING, WAIT_S, EACH)
    line: Line = state.compared
    return line
