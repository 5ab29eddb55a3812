"""The addresses under `/chats`: somebody's own conversations, what they say of answers, and talks with people.

Each takes the person from the request and finds only what is theirs: whatever is not, is not found.
"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.chat.archive import LONGEST_TITLE, Archive, Judgement, Kept, Reason, Thumb
from app.chat.conversation import GONE, Desk
from app.chat.export import as_json, as_markdown, file_name
from app.chat.feedback import LONGEST_CORRECTION, feedback_html
from app.chat.handing import LONGEST_NOTE, preview_html, talk_of, withheld
from app.chat.judgements import Judgements
from app.chat.listing import list_html
from app.chat.session import Patch
from app.chat.talk import Handovers
from app.people import Person, Role
from app.web import pages
from app.web.frame import person_html
from app.who import person_of
from ingest.errors import DeskmateError
from retrieval.chunks import DocumentText

LONGEST_SEARCH = 200
"""Characters of a search."""

Me = Annotated[Person, Depends(person_of)]
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
"""Of an exchange, as databases count."""


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Title(_Sent):
    """Another title."""

    title: str = Field(min_length=1, max_length=4 * LONGEST_TITLE)


class Verdict(_Sent):
    """What an asker says of an answer; no verdict takes it back. `asking`: whether the form with reasons comes next."""

    verdict: Thumb | Literal[""]
    reason: Reason = ""
    correction: str = Field("", max_length=LONGEST_CORRECTION)
    asking: bool = False


class Note(_Sent):
    """A note to whoever takes a conversation over, and the conversation, or none where nothing is asked yet."""

    conversation: str = Field("", max_length=32)
    note: str = Field("", max_length=LONGEST_NOTE)


class Chats:
    """The routes of one desk; `mount_chats` puts them into an application."""

    def __init__(self, desk: Desk, archive: Archive, judgements: Judgements, handovers: Handovers, start: str) -> None:
        self._desk = desk
        self._archive = archive
        self._judgements = judgements
        self._handovers = handovers
        self._start = start

    def application(self) -> FastAPI:
        """The routes as an application of their own."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/here", self.here)
        app.add_api_route("/list", self.list)
        app.add_api_route("/document", self.document)
        app.add_api_route("/sources/{exchange}", self.sources)
        app.add_api_route("/judge/{exchange}", self.judge, methods=["POST"])
        app.add_api_route("/judge/{exchange}", self.judged)
        app.add_api_route("/talk", self.preview)
        app.add_api_route("/talk", self.hand_over, methods=["POST"])
        app.add_api_route("/erase", self.erase_all, methods=["POST"])
        app.add_api_route("/{conversation}/title", self.rename, methods=["POST"])
        app.add_api_route("/{conversation}/erase", self.erase, methods=["POST"])
        app.add_api_route("/{conversation}/export.{ending}", self.export)
        app.add_api_route("/{conversation}/talk", self.talk)
        app.add_api_route("/{conversation}/talk/end", self.end_talk, methods=["POST"])
        app.add_exception_handler(DeskmateError, _cannot)
        app.add_exception_handler(RequestValidationError, _wrong)
        return app

    def here(self, person: Me) -> dict[str, str]:
        """Who asks, for the bar, and which start of the server this is; what an earlier one was answering is lost.

        Without a session the door at the front answers instead.
        """
        staff = '<a class="dm-ghost" href="/staff">Help desk</a>' if person.may(Role.DESK) else ""
        return {"person": staff + person_html(person), "start": self._start}

    def list(self, person: Me, search: str = "") -> HTMLResponse:
        """Their conversations, all or those found."""
        search = search[:LONGEST_SEARCH]
        return _html(list_html(self._archive.listed(person, search), search, date.today()))

    def document(self, person: Me, doc: str, start: int = 0, end: int = 0) -> HTMLResponse:
        """The whole of a document with a span marked, for the source panel."""
        return _html(pages.whole_document_html(self._desk.document(doc, person.groups), start, end))

    def sources(self, person: Me, exchange: Number) -> dict[str, str]:
        """What the source panel shows for a kept answer."""
        kept = self._archive.exchange(person, exchange)
        if kept is None or kept.answer is None:
            raise HTTPException(404, "there is no such answer")

        def read(doc: str) -> DocumentText | None:
            return self._desk.document(doc, person.groups)

        answer = kept.answer
        return {"refs": pages.passage_refs_html(answer.hits, read), "cites": pages.citation_refs_html(answer, read)}

    def judge(self, person: Me, exchange: Number, sent: Verdict) -> HTMLResponse:
        """Take what an asker says of an answer; it is committed when they hear back."""
        if not sent.verdict:
            self._judgements.withdraw(person, exchange)
            return _html(feedback_html(exchange))
        judgement = Judgement(sent.verdict, sent.reason, sent.correction.replace("\0", "").strip())
        if not self._judgements.judge(person, exchange, judgement):
            raise HTTPException(404, "there is no such answer")
        return _html(feedback_html(exchange, judgement, asking=sent.asking))

    def judged(self, person: Me, exchange: Number, asking: bool = False) -> HTMLResponse:
        """What they said of an answer."""
        kept = self._archive.exchange(person, exchange)
        if kept is None:
            raise HTTPException(404, "there is no such answer")
        return _html(feedback_html(exchange, kept.judgement, asking=asking))

    def preview(self, person: Me, conversation: str = "") -> HTMLResponse:
        """What would be handed over to a person."""
        if conversation:
            self._must_be_theirs(person, conversation)
        handed = self._handovers.preview(conversation) if conversation else ()
        seen = {one.id for one in self._archive.read(person, conversation) if one.answer} if handed else set()
        return _html(preview_html([one if one.exchange in seen else withheld(one) for one in handed]))

    def hand_over(self, person: Me, sent: Note) -> Patch:
        """Hand a conversation over; where nothing was asked yet, the note begins one."""
        note = sent.note.replace("\0", "").strip()
        conversation = sent.conversation
        if conversation:
            self._must_be_theirs(person, conversation)
        elif note:
            conversation = self._archive.begin(person, note)
        else:
            raise HTTPException(422, "say in a sentence what it is about")
        self._handovers.begin(conversation, person, note)
        return {"conversation": conversation, **talk_of(self._handovers, conversation, person, 0)}

    def talk(self, person: Me, conversation: str, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0) -> Patch:
        """How a talk with people stands, and what was said since."""
        self._must_be_theirs(person, conversation)
        return talk_of(self._handovers, conversation, person, after)

    def end_talk(self, person: Me, conversation: str) -> Patch:
        """Give the word back to the assistant."""
        self._must_be_theirs(person, conversation)
        self._handovers.close(conversation, person)
        return talk_of(self._handovers, conversation, person)

    def rename(self, person: Me, conversation: str, sent: Title) -> dict[str, str]:
        """Give a conversation another title."""
        if not self._archive.rename(person, conversation, sent.title.replace("\0", "")):
            raise HTTPException(404, GONE)
        return {"title": self._must_be_theirs(person, conversation)}

    def erase(self, person: Me, conversation: str) -> dict[str, int]:
        """Erase a conversation with all that hangs on it."""
        self._must_be_theirs(person, conversation)
        return {"erased": self._archive.erase(person, conversation)}

    def erase_all(self, person: Me) -> dict[str, int]:
        """Erase all of their conversations."""
        return {"erased": self._archive.erase(person)}

    def export(self, person: Me, conversation: str, ending: Literal["md", "json"]) -> Response:
        """A conversation as a file to keep."""
        title = self._must_be_theirs(person, conversation)
        kept: Sequence[Kept] = self._archive.read(person, conversation)
        said = self._handovers.since(conversation)
        text = as_markdown(title, kept, said) if ending == "md" else as_json(title, kept, said, person)
        kind = {"md": "text/markdown; charset=utf-8", "json": "application/json"}[ending]
        headers = _PRIVATE | {"content-disposition": f'attachment; filename="{file_name(title, ending)}"'}
        return Response(text, media_type=kind, headers=headers)

    def _must_be_theirs(self, person: Person, conversation: str) -> str:
        """The title of a conversation of theirs; 404 for any other, whether there is one or not."""
        title = self._archive.title(person, conversation)
        if title is None:
            raise HTTPException(404, GONE)
        return title


_PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def mount_chats(app: FastAPI, chats: Chats) -> None:
    """Put the addresses under `/chats` into an application."""
    app.mount("/chats", chats.application())


def _html(body: str) -> HTMLResponse:
    return HTMLResponse(body, headers=_PRIVATE)


def _cannot(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": pages.sentence(str(error))}, 503)


def _wrong(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    places = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
    return JSONResponse({"detail": f"This cannot be taken: {places} is missing, wrong or too long."}, 422)
