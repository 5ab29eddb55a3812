"""How a conversation goes: questions in, patches for the page out. Knows no Gradio; the pieces are `app.web.pages`."""

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.answering.answer import Answer, Event, Finished, Retrieved, Token
from app.answering.modes import UNTUNED, Mode
from app.chat import retold
from app.chat.archive import Archive, Outcome, Remembered
from app.chat.details import details_html
from app.chat.feedback import feedback_html
from app.chat.handing import talk_of
from app.chat.session import Asked, Exchange, Patch, Session, Visit
from app.chat.talk import Handovers
from app.people import Person
from app.web import pages
from app.web.frame import welcome_html
from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.records import Chunk
from retrieval.chunks import DocumentText, DocumentVersion
from retrieval.records import Hit

if TYPE_CHECKING:
    from app.desk import DeskStatus

FRAME_S = 0.06
"""Shortest time between two patches while the model writes; more of them only make the browser work."""

UNEXPECTED = "Something went wrong on our side. It was logged; please try again."

CLOSED = "The help desk is being restarted. Please ask again in a moment; nothing was lost."

GONE = "There is no such conversation. It may have been erased, or belong to somebody else."

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

    def versions(self, docs: Iterable[str], groups: frozenset[str]) -> Mapping[str, DocumentVersion]:
        """Those of some documents that are for these groups, as they are now."""

    def passages(self, ids: Iterable[str], groups: frozenset[str]) -> Mapping[str, Chunk]:
        """The chunks of some ids that are for these groups, as they are now."""

    def status(self) -> "DeskStatus":
        """What the desk answers with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many answers are computed at the same time, how many questions may wait, and how many one person may have."""

    at_once: int = 2
    waiting: int = 20
    each: int = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """Who asked a question that is being answered or waits, and the tab that shows it."""

    visit: Visit
    session: Session


@dataclass(frozen=True, slots=True)
class House:
    """What the help desk is called, and questions to start with."""

    title: str
    examples: tuple[str, ...] = ()


class Conversation:
    """The chat's behaviour. Every method takes a session and gives patches; whose it is, the request says."""

    def __init__(
        self, desk: Desk, archive: Archive, handovers: Handovers, house: House, limits: Limits | None = None
    ) -> None:
        self._desk = desk
        self._archive = archive
        self._handovers = handovers
        self._house = house
        self.limits = limits or Limits()
        self.start = secrets.token_hex(8)  # tells a page whether this is still the server that took its question
        self._taken: dict[Exchange, Taken] = {}  # those being answered or waiting for it
        self._counting = threading.Lock()
        self._places = threading.Semaphore(self.limits.at_once)
        self._closed = False

    @property
    def running(self) -> int:
        """Questions that are being answered, or wait for it."""
        return len(self._taken)

    def close(self) -> None:
        """Take no more questions: the server is ending."""
        self._closed = True

    def cut_off(self) -> None:
        """End every answer where it is; what is written of it is kept."""
        for exchange in tuple(self._taken):
            exchange.cancel.set()

    def welcome(self) -> Patch:
        """The empty page."""
        try:
            documents: int | None = self._desk.status().documents
        except DeskmateError:
            documents = None  # the page opens all the same; the first question says what is wrong
        welcome = welcome_html(self._house.title, documents, self._house.examples)
        return {"seq": 0, "busy": False, "welcome": welcome, "conversation": ""}

    def modes(self, groups: frozenset[str] = frozenset()) -> tuple[Mode, ...]:
        """The modes that the page offers somebody, the default first."""
        try:
            return self._desk.modes(groups)
        except DeskmateError as error:
            log.warning("the tuned modes cannot be offered: %s", error)
            return UNTUNED

    def fresh(self, session: Session) -> Patch:
        """Begin a new conversation."""
        self.stop(session)
        session.show(None)
        return session.patch(welcome=self.welcome()["welcome"], conversation="", edit="", hint="")

    def open(self, session: Session, visit: Visit, conversation: str) -> Patch:
        """Show a kept conversation as it was."""
        self.stop(session)
        try:
            shown = self._show(session, visit.person, conversation)
        except DeskmateError as error:
            return self.fresh(session) | {"hint": pages.sentence(str(error))}
        return session.patch(edit="", hint="", **shown) if shown else self.fresh(session) | {"hint": GONE}

    def begin(self, session: Session, visit: Visit, asked: Asked) -> Patch:
        """Take a question and show at once that it is being worked on; `answer` does the work.

        Returns:
            The new turn, with `taken` set; what people of the help desk get where they have the word; or a hint where
            there is nothing to take.
        """
        if session.running is not None:
            return session.patch(hint="One question at a time: press Stop first.")
        if self._closed:
            return session.patch(hint=CLOSED)
        try:
            shown = self._turn_to(session, visit.person, asked.conversation)
            if shown is None:
                return self.fresh(session) | {"hint": GONE}
            question = session.last.question if asked.again and session.last else _clean(asked.question)
            if not question.strip():
                return session.patch(hint="Type a question first.", **shown)
            stand = self._handovers.state(session.conversation) if session.conversation else None
            if session.conversation and stand and stand.open:
                if not asked.again:
                    self._handovers.say(session.conversation, visit.person, question.strip())
                return session.patch(heard=True, hint="", **shown)
        except DeskmateError as error:
            return session.patch(hint=pages.sentence(str(error)))
        replaced = session.last if asked.again or session.editing else None
        exchange = Exchange(session.next(), question.strip(), asked.mode, session.conversation, replaced)
        with self._counting:
            theirs = [one for one in tuple(self._taken.values()) if one.visit.person.id == visit.person.id]
            if len(theirs) >= self.limits.each:
                return session.patch(hint=_greedy(len(theirs)), **shown)
            full = len(self._taken) >= self.limits.at_once
            self._taken[exchange] = Taken(visit, session)
        session.running, session.editing = exchange, False
        state = "Waiting for a free place…" if full else pages.first_state(asked.mode)
        body = pages.working_html(state)
        return session.turn(exchange, body=body, say=state, edit="", hint="", taken=True, start=self.start, **shown)

    def answer(self, session: Session, visit: Visit) -> Iterator[Patch]:
        """Answer the question that `begin` took; nothing where there is none."""
        exchange = session.running
        if exchange is None or exchange.started:
            return
        exchange.started = True
        placed = False
        try:
            if len(self._taken) > self.limits.at_once + self.limits.waiting:
                raise DeskmateError("too many questions are waiting at the moment; please try again in a minute")
            placed = self._wait_for_place(exchange)
            patches = self._stream(session, exchange, visit.person)
            for patch in patches if placed else self._left_the_line(session, exchange):
                if exchange not in (session.running, session.last):
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
            self._taken.pop(exchange, None)
            session.done(exchange)

    def stop(self, session: Session) -> None:
        """Make the running answer end where it is."""
        if session.running is not None:
            session.running.cancel.set()

    def left(self, tab: str) -> None:
        """A browser tab was closed or lost: stop what runs for it."""
        for exchange, taken in tuple(self._taken.items()):
            if taken.visit.tab != tab:
                continue
            exchange.cancel.set()
            if not exchange.started:  # and now it never will be
                del self._taken[exchange]
                taken.session.done(exchange)

    def edit(self, session: Session, visit: Visit, conversation: str) -> tuple[Patch, str | None]:
        """Bring the last question back to be changed; the next one sent takes its place."""
        if session.running is not None:
            return session.patch(), None
        shown = self._turn_to(session, visit.person, conversation) or {}
        if session.last is None:
            return session.patch(**shown), None
        session.editing = True
        return session.patch(edit="Editing your last question.", hint="", **shown), session.last.question

    def unedit(self, session: Session) -> Patch:
        """Leave the last question as it was."""
        session.editing = False
        return session.patch(edit="")

    def _turn_to(self, session: Session, person: Person, conversation: str) -> Patch | None:
        """Make the session that of the page: a page outlives a restart. None where the conversation is gone."""
        if (conversation or None) == session.conversation:
            return {}
        if not conversation:
            session.show(None)
            return {}
        return self._show(session, person, conversation)

    def _show(self, session: Session, person: Person, conversation: str) -> Patch | None:
        """A kept conversation as parts of a patch; None where there is none of theirs."""
        title = self._archive.title(person, conversation)
        if title is None:
            return None
        kept = self._archive.read(person, conversation)
        numbers = [session.next() for _ in kept]
        last = None
        if kept:
            last = Exchange(numbers[-1], kept[-1].question, Mode.RAG_ONLY, conversation, id=kept[-1].id)
        session.show(conversation, last)
        log_ = retold.log(zip(numbers, kept, strict=True), self._handovers.since(conversation), person)
        talk = talk_of(self._handovers, conversation, person)
        return {"conversation": conversation, "title": title, "log": log_, "talk": talk}

    def _wait_for_place(self, exchange: Exchange) -> bool:
        """Wait until another answer may be computed; False when the asker stopped meanwhile."""
        while not exchange.cancel.is_set():
            if self._places.acquire(timeout=0.2):
                return True
        return False

    def _left_the_line(self, session: Session, exchange: Exchange) -> Iterator[Patch]:
        session.done(exchange)
        yield session.turn(exchange, body=pages.stopped_html("", ()), after=pages.tools_html(), say="Stopped.")

    def _stream(self, session: Session, exchange: Exchange, person: Person) -> Iterator[Patch]:
        """The patches of one answer."""
        hits: tuple[Hit, ...] = ()
        text, shown = "", 0.0
        refs: Patch = {}
        state = pages.first_state(exchange.mode)
        yield session.turn(exchange, body=pages.working_html(state), say=state)
        replaced = exchange.replaces.id if exchange.replaces else None
        remembered = self._archive.remember(person, exchange.conversation, replaced)
        for event in self._desk.stream(
            exchange.question,
            mode=exchange.mode,
            groups=person.groups,
            history=remembered.turns,
            cancel=exchange.cancel,
        ):
            match event:
                case Retrieved():
                    hits = event.hits
                    state = pages.found_text(hits)
                    refs["refs"] = pages.passage_refs_html(hits, lambda doc: self._desk.document(doc, person.groups))
                    yield session.turn(exchange, body=pages.working_html(state), say=state, **refs)
                case Token():
                    text += event.text
                    if text.strip() and time.monotonic() - shown >= FRAME_S:
                        shown = time.monotonic()
                        yield session.turn(exchange, body=pages.writing_html(text, hits), **refs)
                case Finished():
                    exchange.answer = event.answer
                    kept = self._keep(session, exchange, person, remembered)
                    session.done(exchange)
                    yield self._finished(session, exchange, event.answer, person) | refs | kept
        if exchange.answer is None:
            session.done(exchange)
            body = pages.stopped_html(text, hits)
            yield session.turn(exchange, body=body, after=pages.tools_html(text), say="Stopped.", **refs)

    def _keep(self, session: Session, exchange: Exchange, person: Person, remembered: Remembered) -> Patch:
        """Commit a finished exchange; an answer that cannot be kept is shown all the same, with why."""
        assert exchange.answer is not None
        replaces = exchange.replaces.id if exchange.replaces else None
        outcome = Outcome(exchange.answer, remembered, exchange.cancel.is_set(), replaces)
        try:
            exchange.conversation, exchange.id = self._archive.keep(person, exchange.conversation, outcome)
        except DeskmateError as error:
            log.warning("an answer could not be kept: %s", error)
            return {"hint": f"This answer is not kept: {error}."}
        if session.running is exchange:  # else a new chat was begun meanwhile
            session.conversation = exchange.conversation
        return {"conversation": exchange.conversation}

    def _finished(self, session: Session, exchange: Exchange, answer: Answer, person: Person) -> Patch:
        stopped = exchange.cancel.is_set()
        judging = "" if exchange.id is None else feedback_html(exchange.id)
        tools = pages.tools_html(pages.copy_text(answer), judging=judging)
        return session.turn(
            exchange,
            body=pages.answer_body_html(answer, stopped),
            after=tools + details_html(answer),
            cites=pages.citation_refs_html(answer, lambda doc: self._desk.document(doc, person.groups)),
            say="Stopped." if stopped else f"Answer: {answer.answer}",
        )

    def _failed(self, session: Session, exchange: Exchange, message: str) -> Patch:
        session.done(exchange)
        return session.turn(
            exchange, body=pages.error_html(message), after=pages.tools_html(failed=True), say=f"Error: {message}"
        )


def _greedy(most: int) -> str:
    """What somebody is told who has as many questions running as one may have."""
    many = "a question" if most == 1 else f"{most} questions"
    return f"You have {many} running already, here or in another window: wait for an answer, or press Stop there."


def _clean(question: str) -> str:
    """What was typed without what no database takes: NUL, and halves of characters."""
    return question.replace("\0", "").encode("utf-8", "ignore").decode()
