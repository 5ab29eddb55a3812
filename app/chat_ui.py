"""The help-desk chat as Gradio Blocks. Knows how a conversation goes; what the pieces look like is in `app.pages`.

The transcript is one `gr.HTML` whose template never changes and whose value is a small patch for the running turn.
`gr.Chatbot` was not taken: it renders through Markdown and a sanitiser that know no citation buttons, sends every turn
again with each word, and copies and edits the HTML instead of the words. Here Python escapes and renders each piece,
`static/chat.js` puts it into its place, and earlier turns are never touched again. The source panel opens without a
request, because the texts around the citations come with the answer.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import gradio as gr  # noqa: TID253  # the leaf that wraps it; `app.cli` imports this module only to serve

from app import frame, pages
from app.answer import Answer, Event, Finished, Mode, Retrieved, Token
from finetune.template import Turn
from ingest.errors import DeskmateError
from retrieval.chunks import DocumentText
from retrieval.records import Hit

if TYPE_CHECKING:
    from app.desk import DeskStatus

Patch = dict[str, Any]
"""What `static/chat.js` applies: complete for the turn it names, so that a lost one does no harm."""

FRAME_S = 0.06
"""Shortest time between two patches while the model writes; a faster stream only makes the page work."""

REMEMBERED = 3
"""Earlier exchanges that the model is told of."""

UNEXPECTED = "Something went wrong on our side. It was logged; please try again."

log = logging.getLogger("deskmate.chat")


class Desk(Protocol):
    """What the chat needs of `app.desk.Desk`."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that can be served now."""

    @property
    def default_mode(self) -> Mode:
        """The mode that the chat begins with."""

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
        """A document's text, None when it is unknown or not for these groups."""

    def status(self) -> "DeskStatus":
        """What the desk answers with."""


@dataclass(slots=True)
class Exchange:
    """One question of a conversation and what came of it."""

    number: int
    question: str
    mode: Mode
    replaces: int | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    started: bool = False
    answer: Answer | None = None


@dataclass(slots=True)
class Session:
    """One browser tab's conversation. Lives in a `gr.State`, so it begins empty and copyable."""

    exchanges: list[Exchange] = field(default_factory=list)
    running: Exchange | None = None
    editing: bool = False
    asked: int = 0
    patches: int = 0

    def patch(self, **parts: Any) -> Patch:
        """A patch; numbered, so that the same one twice still arrives as a change."""
        self.patches += 1
        return {"seq": self.patches, "busy": self.running is not None, **parts}

    def history(self) -> list[Turn]:
        """What was said before, oldest first."""
        turns: list[Turn] = []
        for exchange in [e for e in self.exchanges if e.answer and e.answer.answer][-REMEMBERED:]:
            assert exchange.answer is not None
            turns.append({"role": "user", "content": exchange.question})
            turns.append({"role": "assistant", "content": exchange.answer.answer})
        return turns


class Conversation:
    """The chat's behaviour, apart from its components: every method takes a session and gives patches."""

    def __init__(
        self, desk: Desk, title: str, examples: Sequence[str], groups: frozenset[str], at_once: int, waiting: int
    ) -> None:
        self._desk = desk
        self._title = title
        self._examples = tuple(examples)
        self._groups = groups
        self._at_once = at_once
        self._waiting = waiting
        self._tabs: dict[str, Session] = {}  # sessions that are being answered or wait for it, by browser tab

    def welcome(self) -> Patch:
        """The empty page."""
        try:
            documents: int | None = self._desk.status().documents
        except DeskmateError:
            documents = None  # the page still opens; the first question says what is wrong
        return {"seq": 0, "busy": False, "welcome": frame.welcome_html(self._title, documents, self._examples)}

    def fresh(self, session: Session) -> Patch:
        """Forget the conversation."""
        self.stop(session)
        session.exchanges.clear()
        session.editing = False
        return session.patch(**{k: v for k, v in self.welcome().items() if k == "welcome"}, edit="", busy=False)

    def begin(self, session: Session, question: str, mode: Mode, tab: str, again: bool = False) -> Patch | None:
        """Take a question and show at once that it is being worked on; `answer` does the work.

        Args:
            session: of the asker.
            question: as typed; with `again` the last one counts instead.
            mode: to answer in.
            tab: names the browser tab, to stop when it is closed.
            again: answer the last question once more.

        Returns:
            The new turn, a hint where there is nothing to do, or None where nothing may change.
        """
        if session.running is not None:
            return session.patch(hint="One question at a time: press Stop first.")
        last = session.exchanges[-1] if session.exchanges else None
        if again:
            if last is None:
                return None
            question = last.question
        if not question.strip():
            return session.patch(hint="Type a question first.")
        replaced = session.exchanges.pop().number if last and (again or session.editing) else None
        session.editing = False
        session.asked += 1
        session.running = Exchange(session.asked, question.strip(), mode, replaced)
        waits = len(self._tabs) >= self._at_once
        self._tabs[tab] = session
        state = "Waiting for a free place…" if waits else _first_state(mode)
        return self._turn(session, session.running, body=pages.working_html(state), say=state, edit="")

    def answer(self, session: Session, tab: str) -> Iterator[Patch]:
        """Answer the question that `begin` took; nothing where there is none."""
        exchange = session.running
        if exchange is None or exchange.started:
            return
        exchange.started = True
        try:
            if len(self._tabs) > self._at_once + self._waiting:
                raise DeskmateError("too many questions are waiting at the moment; please try again in a minute")
            yield from self._stream(session, exchange)
        except DeskmateError as error:
            yield self._failed(session, exchange, str(error))
        except Exception:  # the outermost loop of the chat: the asker gets a sentence, the log the traceback
            log.exception("a question could not be answered")
            yield self._failed(session, exchange, UNEXPECTED)
        finally:
            exchange.cancel.set()  # a closed page stops the model
            self._tabs.pop(tab, None)
            self._done(session, exchange)

    def stop(self, session: Session) -> None:
        """Make the running answer end where it is."""
        if session.running is not None:
            session.running.cancel.set()

    def left(self, tab: str) -> None:
        """A browser tab was closed or lost: stop what runs for it."""
        session = self._tabs.get(tab)
        if session is not None and session.running is not None:
            session.running.cancel.set()
            if not session.running.started:  # it will not be started any more
                self._tabs.pop(tab, None)
                self._done(session, session.running)

    def edit(self, session: Session) -> tuple[Patch, str | None]:
        """Bring the last question back to be changed; the next one sent takes its place."""
        if session.running is not None or not session.exchanges:
            return session.patch(), None
        session.editing = True
        return session.patch(edit="Editing your last question"), session.exchanges[-1].question

    def keep(self, session: Session) -> Patch:
        """Leave the last question as it was."""
        session.editing = False
        return session.patch(edit="")

    def whole(self, place: Sequence[Any]) -> str:
        """The whole of a document with a span marked, for the panel. `place`: document, start, end."""
        doc, start, end = str(place[0]), int(place[1]), int(place[2])
        return pages.whole_document_html(self._desk.document(doc, self._groups), start, end)

    def _stream(self, session: Session, exchange: Exchange) -> Iterator[Patch]:
        hits: tuple[Hit, ...] = ()
        text, shown = "", 0.0
        parts: Patch = {}
        history = session.history()
        if _first_state(exchange.mode):
            yield self._turn(session, exchange, body=pages.working_html(_first_state(exchange.mode)))
        for event in self._desk.stream(
            exchange.question, mode=exchange.mode, groups=self._groups, history=history, cancel=exchange.cancel
        ):
            match event:
                case Retrieved():
                    hits = event.hits
                    state = pages.found_text(hits)
                    parts["refs"] = pages.refs_html(hits, (), self._read)
                    yield self._turn(session, exchange, body=pages.working_html(state), say=state, **parts)
                case Token():
                    text += event.text
                    if time.monotonic() - shown >= FRAME_S and text.strip():
                        shown = time.monotonic()
                        yield self._turn(session, exchange, body=pages.writing_html(text, hits), **parts)
                case Finished():
                    exchange.answer = event.answer
                    self._done(session, exchange)
                    yield self._finished(session, exchange, event.answer, parts)
        if exchange.answer is None:
            self._done(session, exchange)
            body = pages.stopped_html(text, hits)
            yield self._turn(session, exchange, body=body, after=pages.tools_html("done", text), say="Stopped", **parts)

    def _finished(self, session: Session, exchange: Exchange, answer: Answer, parts: Patch) -> Patch:
        stopped = exchange.cancel.is_set()
        return self._turn(
            session,
            exchange,
            body=pages.answer_body_html(answer, stopped),
            after=pages.tools_html("done", pages.copy_text(answer)) + pages.details_html(answer),
            cites=pages.refs_html((), answer.citations, self._read, {h.chunk.doc: h.chunk.title for h in answer.hits}),
            say="Stopped" if stopped else f"Answer: {answer.answer}",
            **parts,
        )

    def _failed(self, session: Session, exchange: Exchange, message: str) -> Patch:
        self._done(session, exchange)
        after = pages.tools_html("failed")
        return self._turn(session, exchange, body=pages.error_html(message), after=after, say=message)

    def _turn(self, session: Session, exchange: Exchange, **parts: Any) -> Patch:
        asked = pages.question_html(exchange.question)
        return session.patch(turn=exchange.number, drop=exchange.replaces, question=asked, **parts)

    def _done(self, session: Session, exchange: Exchange) -> None:
        """Free the session before the last patch is sent, so that the next question can follow at once."""
        if session.running is exchange:
            session.running = None
            session.exchanges.append(exchange)

    def _read(self, doc: str) -> DocumentText | None:
        return self._desk.document(doc, self._groups)


def _first_state(mode: Mode) -> str:
    return "Searching the documents…" if mode in (Mode.RAG_ONLY, Mode.HYBRID) else "Thinking…"


def build_chat(
    desk: Desk,
    *,
    title: str,
    examples: Sequence[str],
    groups: frozenset[str],
    at_once: int = 2,
    waiting: int = 20,
) -> gr.Blocks:
    """Build the chat. It needs the files of `app/static` on its page: see `app.api.create_app`.

    Args:
        desk: answers and gives documents.
        title: what the chat is called.
        examples: questions to start with.
        groups: what the askers may read besides what is for everyone.
        at_once: answers that are computed at the same time.
        waiting: questions that may wait behind them.
    """
    talk = Conversation(desk, title, examples, groups, at_once, waiting)
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as blocks:
        session = gr.State(Session)
        with gr.Column(elem_id="dm-app"):
            gr.HTML(frame.header_html(title), elem_id="dm-top", js_on_load="deskmate.bar(element)")
            transcript = gr.HTML(
                talk.welcome,
                html_template=frame.TRANSCRIPT,
                js_on_load="deskmate.transcript(element, props, watch, trigger)",
                elem_id="dm-transcript",
            )
            with gr.Column(elem_id="dm-composer"):
                question = gr.Textbox(
                    placeholder="Ask a question",
                    label="Your question",
                    show_label=False,
                    container=False,
                    lines=1,
                    max_lines=8,
                    autofocus=True,
                    elem_id="dm-question",
                )
                with gr.Row(elem_id="dm-controls"):
                    mode = gr.Radio(
                        [(pages.MODES[m].label, m.value) for m in desk.modes],
                        value=desk.default_mode.value,
                        label="How to answer",
                        show_label=False,
                        container=False,
                        visible=len(desk.modes) > 1,
                        elem_id="dm-mode",
                    )
                    send = gr.Button("Ask", elem_id="dm-send", variant="primary", size="sm")
                    stop = gr.Button("Stop", elem_id="dm-stop", size="sm")
            panel = gr.HTML(  # noqa: F841  # the page's script finds it
                "",
                html_template=frame.PANEL,
                js_on_load="deskmate.panel(element, server)",
                elem_id="dm-side",
                server_functions=[talk.whole],
            )
        _wire(talk, transcript, question, mode, send, stop, session, at_once)
        blocks.unload(lambda request: talk.left(_tab(request)))
    return blocks
