"""How a conversation goes: questions in, patches for the page out. Knows no Gradio; the pieces are `app.pages`."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app import pages
from app.answer import Answer, Event, Finished, Retrieved, Token
from app.details import details_html
from app.frame import welcome_html
from app.modes import UNTUNED, Mode
from app.session import Exchange, Patch, Session
from finetune.template import Turn
from ingest.errors import DeskmateError
from retrieval.chunks import DocumentText
from retrieval.records import Hit

if TYPE_CHECKING:
    from app.desk import DeskStatus

FRAME_S = 0.06
"""Shortest time between two patches while the model writes; more of them only make the browser work."""

UNEXPECTED = "Something went wrong on our side. It was logged; please try again."

log = logging.getLogger("deskmate.chat")


class Desk(Protocol):
    """What the chat needs of `app.desk.Desk`."""

    def modes(self, groups: frozenset[str]) -> tuple[Mode, ...]:
        """The modes for an asker now, the default first."""

    def stream(
        self,
        question: str,
        *,
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Answer: `Retrieved`, any number of `Token`, `Finished`."""

    def document(self, doc: str, groups: frozenset[str]) -> DocumentText | None:
        """A document's text; None when it is unknown or not for these groups."""

    def status(self) -> "DeskStatus":
        """What the desk answers with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many answers are computed at the same time, and how many questions may wait behind them."""

    at_once: int = 2
    waiting: int = 20


class Conversation:
    """The chat's behaviour. Every method takes a session and gives patches; `tab` names the asker's browser tab."""

    def __init__(
        self, desk: Desk, title: str, examples: Sequence[str], groups: frozenset[str], limits: Limits | None = None
    ) -> None:
        self._desk = desk
        self._title = title
        self._examples = tuple(examples)
        self._groups = groups
        self._limits = limits or Limits()
        self._tabs: dict[str, Session] = {}  # those being answered or waiting for it
        self._places = threading.Semaphore(self._limits.at_once)

    def welcome(self) -> Patch:
        """The empty page."""
        try:
            documents: int | None = self._desk.status().documents
        except DeskmateError:
            documents = None  # the page opens all the same; the first question says what is wrong
        return {"seq": 0, "busy": False, "welcome": welcome_html(self._title, documents, self._examples)}

    def modes(self) -> tuple[Mode, ...]:
        """The modes that the page offers, the default first."""
        try:
            return self._desk.modes(self._groups)
        except DeskmateError as error:
            log.warning("the tuned modes cannot be offered: %s", error)
            return UNTUNED

    def fresh(self, session: Session) -> Patch:
        """Forget the conversation."""
        self.stop(session)
        session.running = None
        session.exchanges.clear()
        session.editing = False
        return session.patch(welcome=self.welcome()["welcome"], edit="")

    def begin(self, session: Session, question: str, mode: Mode, tab: str, again: bool = False) -> Patch:
        """Take a question and show at once that it is being worked on; `answer` does the work.

        Args:
            session: of the asker.
            question: as typed; with `again` the last one counts instead.
            mode: to answer in.
            tab: to stop for when it is closed.
            again: answer the last question once more.

        Returns:
            The new turn, with `taken` set; or a hint where there is nothing to take.
        """
        if session.running is not None:
            return session.patch(hint="One question at a time: press Stop first.")
        last = session.exchanges[-1] if session.exchanges else None
        if again and last:
            question = last.question
        if not question.strip():
            return session.patch(hint="Type a question first.")
        replaced = session.exchanges.pop().number if last and (again or session.editing) else None
        session.editing = False
        session.asked += 1
        exchange = session.running = Exchange(session.asked, question.strip(), mode, replaced)
        state = "Waiting for a free place…" if len(self._tabs) >= self._limits.at_once else pages.first_state(mode)
        self._tabs[tab] = session
        return session.turn(exchange, body=pages.working_html(state), say=state, edit="", hint="", taken=True)

    def answer(self, session: Session, tab: str) -> Iterator[Patch]:
        """Answer the question that `begin` took; nothing where there is none."""
        exchange = session.running
        if exchange is None or exchange.started:
            return
        exchange.started = True
        placed = False
        try:
            if len(self._tabs) > self._limits.at_once + self._limits.waiting:
                raise DeskmateError("too many questions are waiting at the moment; please try again in a minute")
            placed = self._wait_for_place(exchange)
            for patch in self._stream(session, exchange) if placed else self._left_the_line(session, exchange):
                if session.running is not exchange and exchange not in session.exchanges:
                    return  # the conversation was begun anew meanwhile
                yield patch
        except DeskmateError as error:
            yield self._failed(session, exchange, str(error))
        except Exception:  # the outermost loop: the asker gets a sentence, the log the traceback
            log.exception("a question could not be answered")
            yield self._failed(session, exchange, UNEXPECTED)
        finally:
            exchange.cancel.set()  # a stream that was left half way stops computing
            if placed:
                self._places.release()
            self._tabs.pop(tab, None)
            session.done(exchange)

    def stop(self, session: Session) -> None:
        """Make the running answer end where it is."""
        if session.running is not None:
            session.running.cancel.set()

    def left(self, tab: str) -> None:
        """A browser tab was closed or lost: stop what runs for it."""
        session = self._tabs.get(tab)
        if session is None or session.running is None:
            return
        session.running.cancel.set()
        if not session.running.started:  # and now it never will be
            del self._tabs[tab]
            session.done(session.running)

    def edit(self, session: Session) -> tuple[Patch, str | None]:
        """Bring the last question back to be changed; the next one sent takes its place."""
        if session.running is not None or not session.exchanges:
            return session.patch(), None
        session.editing = True
        return session.patch(edit="Editing your last question.", hint=""), session.exchanges[-1].question

    def keep(self, session: Session) -> Patch:
        """Leave the last question as it was."""
        session.editing = False
        return session.patch(edit="")

    def whole(self, doc: str, start: int, end: int) -> str:
        """The whole of a document with a span marked, for the source panel."""
        return pages.whole_document_html(self._read(doc), start, end)

    def _wait_for_place(self, exchange: Exchange) -> bool:
        """Wait until another answer may be computed; False when the asker stopped meanwhile."""
        while not exchange.cancel.is_set():
            if self._places.acquire(timeout=0.2):
                return True
        return False

    def _left_the_line(self, session: Session, exchange: Exchange) -> Iterator[Patch]:
        session.done(exchange)
        yield session.turn(exchange, body=pages.stopped_html("", ()), after=pages.tools_html(), say="Stopped.")

    def _stream(self, session: Session, exchange: Exchange) -> Iterator[Patch]:
        """The patches of one answer."""
        hits: tuple[Hit, ...] = ()
        text, shown = "", 0.0
        refs: Patch = {}
        state = pages.first_state(exchange.mode)
        yield session.turn(exchange, body=pages.working_html(state), say=state)
        for event in self._desk.stream(
            exchange.question,
            mode=exchange.mode,
            groups=self._groups,
            history=session.history(),
            cancel=exchange.cancel,
        ):
            match event:
                case Retrieved():
                    hits = event.hits
                    state = pages.found_text(hits)
                    refs["refs"] = pages.passage_refs_html(hits, self._read)
                    yield session.turn(exchange, body=pages.working_html(state), say=state, **refs)
                case Token():
                    text += event.text
                    if text.strip() and time.monotonic() - shown >= FRAME_S:
                        shown = time.monotonic()
                        yield session.turn(exchange, body=pages.writing_html(text, hits), **refs)
                case Finished():
                    exchange.answer = event.answer
                    session.done(exchange)
                    yield self._finished(session, exchange, event.answer, refs)
        if exchange.answer is None:
            session.done(exchange)
            body = pages.stopped_html(text, hits)
            yield session.turn(exchange, body=body, after=pages.tools_html(text), say="Stopped.", **refs)

    def _finished(self, session: Session, exchange: Exchange, answer: Answer, refs: Patch) -> Patch:
        stopped = exchange.cancel.is_set()
        return session.turn(
            exchange,
            body=pages.answer_body_html(answer, stopped),
            after=pages.tools_html(pages.copy_text(answer)) + details_html(answer),
            cites=pages.citation_refs_html(answer, self._read),
            say="Stopped." if stopped else f"Answer: {answer.answer}",
            **refs,
        )

    def _failed(self, session: Session, exchange: Exchange, message: str) -> Patch:
        session.done(exchange)
        return session.turn(
            exchange, body=pages.error_html(message), after=pages.tools_html(failed=True), say=f"Error: {message}"
        )

    def _read(self, doc: str) -> DocumentText | None:
        return self._desk.document(doc, self._groups)
