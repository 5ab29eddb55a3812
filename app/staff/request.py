"""What every request for a help-desk page shares: the workplace behind it, reading a form, and answering with a page.

Knows no page: the routes are in the modules that `app.staff.routes` puts together.
"""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.people import Person, Role
from app.staff import frame as staff_page
from app.staff.workplace import Staff
from app.web.forms import read_form
from app.web.harden import HEADERS
from app.who import needs, person_of

LONGEST_FORM = 200_000
"""Bytes of a form: the longest answer that anybody writes by hand, and what else is asked beside it."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Stricter than the chat's: nothing inline runs here."""

DONE = {
    "taken": "You have taken it. Nobody else answers it now.",
    "given-back": "Given back. It waits for somebody else.",
    "sent": "Your reply is in the conversation.",
    "closed": "Closed. The assistant answers there again.",
    "again": "It is being sent again.",
    "dismissed": "Settled without a correction.",
    "corrected": "Your answer is given from now on.",
    "reviewed": "Reviewed: it becomes a training row.",
    "withdrawn": "Withdrawn. The documents answer again.",
    "stopping": "It is told to end. What it has written by then is whole.",
    "deleted": "The file is deleted, and the index is being brought up to date.",
    "deleted-later": "The file is deleted. Read everything again when what runs now has ended.",
    "promoted": "It serves from the next question on.",
    "rolled-back": "What served before serves again, from the next question on.",
}
"""What a page says after something was done: addresses carry the key, so that nobody's link writes a text here."""


def staff_of(request: Request) -> Staff:
    """The workplace behind a request."""
    staff: Staff = request.app.state.staff
    return staff


async def _fields(request: Request) -> list[tuple[str, str]]:
    return await read_form(request, LONGEST_FORM, "the form is too long; shorten what you have written")


Workplace = Annotated[Staff, Depends(staff_of)]
Colleague = Annotated[Person, Depends(needs(Role.DESK))]
Admin = Annotated[Person, Depends(needs(Role.ADMIN))]
Fields = Annotated[list[tuple[str, str]], Depends(_fields)]
"""Fields of a form by name and value; a name may come several times."""


def frame_of(request: Request) -> staff_page.Frame:
    """What stands around a page for whoever asks."""
    staff, person = staff_of(request), person_of(request)
    return staff_page.Frame(staff.title, person, staff.counts() if person.may(Role.DESK) else {})


def show(request: Request, heading: str, section: str, body: str, status: int = 200) -> HTMLResponse:
    """Answer with a page of a section. What was done before (`?done=…`) is said above it."""
    said = DONE.get(request.query_params.get("done", ""))
    if said:
        body = staff_page.notice(said) + body
    return respond(staff_page.page(heading, section, body, frame_of(request)), status)


def respond(text: str, status: int = 200) -> HTMLResponse:
    """HTML with the headers of these pages."""
    return HTMLResponse(text, status, HEADERS | {"content-security-policy": POLICY, "cache-control": "no-store"})


def back(address: str, done: str = "") -> RedirectResponse:
    """On to a page after a form; `done` is a key of `DONE`."""
    return RedirectResponse(f"{address}?done={quote(done)}" if done else address, 303)
