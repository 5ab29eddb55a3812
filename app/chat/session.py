"""What one browser tab is doing, and the patches that change its page. Knows no Gradio, no desk and no database.

A patch is a small dict for the turn that is running. Each is complete for its turn, so a lost one does no harm, and
earlier turns are never sent again. What was said before is in `app.chat.archive`: a tab that has lost its session, by a
restart, names its conversation and goes on.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from app.answering.answer import Answer
from app.answering.modes import Mode
from app.people import Person
from app.web import pages

Patch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, and from which browser tab."""

    person: Person
    tab: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page sends. `conversation`: the one that it shows, or empty; `again`: the last question once more."""

    question: str
    mode: Mode
    conversation: str = ""
    again: bool = False


@dataclass(slots=True, eq=False)
class Exchange:
    """One question of a conversation and what came of it.

    `number` is the turn's on the page, `id` the exchange's in the archive, None while it is not kept, as is
    `conversation`. `replaces`: the exchange whose place it takes.
    """

    number: int
    question: str
    mode: Mode
    conversation: str | None = None
    replaces: "Exchange | None" = None
    cancel: threading.Event = field(default_factory=threading.Event)
    started: bool = False
    answer: Answer | None = None
    id: int | None = None


@dataclass(slots=True)
class Session:
    """One browser tab. Lives in a `gr.State`, which copies it while it is empty.

    `conversation` is None until something of it is kept; `last` is the exchange that may be asked again.
    """

    conversation: str | None = None
    last: Exchange | None = None
    running: Exchange | None = None
    editing: bool = False
    asked: int = 0
    patches: int = 0

    def patch(self, **parts: Any) -> Patch:
        """A patch; numbered, so that the same one twice still arrives as a change."""
        self.patches += 1
        return {"seq": self.patches, "busy": self.running is not None, **parts}

    def turn(self, exchange: Exchange, **parts: Any) -> Patch:
        """A patch of one turn."""
        asked = pages.question_html(exchange.question)
        drop = exchange.replaces.number if exchange.replaces else None
        return self.patch(turn=exchange.number, drop=drop, question=asked, **parts)

    def next(self) -> int:
        """The number of a new turn."""
        self.asked += 1
        return self.asked

    def done(self, exchange: Exchange) -> None:
        """Free the session. Before the last patch is sent, so that the next question can follow at once."""
        if self.running is exchange:
            self.running = None
            self.last = exchange

    def show(self, conversation: str | None, last: Exchange | None = None) -> None:
        """Turn to another conversation, or to a new one."""
        self.conversation, self.last = conversation, last
        self.running, self.editing = None, False
