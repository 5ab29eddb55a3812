"""What one browser tab has asked so far, and the patches that change its page. Knows no Gradio and no desk.

A patch is a small dict for the turn that is running. Each is complete for its turn, so a lost one does no harm, and
earlier turns are never sent again.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

from app import pages
from app.answer import Answer
from app.modes import Mode
from finetune.template import Turn

Patch = dict[str, Any]

REMEMBERED = 3
"""Earlier exchanges that the model is told of."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One question of a conversation and what came of it. `replaces`: number of the turn whose place it takes."""

    number: int
    question: str
    mode: Mode
    replaces: int | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    started: bool = False
    answer: Answer | None = None


@dataclass(slots=True)
class Session:
    """One browser tab's conversation. Lives in a `gr.State`, which copies it while it is empty."""

    exchanges: list[Exchange] = field(default_factory=list)
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
        return self.patch(turn=exchange.number, drop=exchange.replaces, question=asked, **parts)

    def done(self, exchange: Exchange) -> None:
        """Free the session. Before the last patch is sent, so that the next question can follow at once."""
        if self.running is exchange:
            self.running = None
            self.exchanges.append(exchange)

    def history(self) -> list[Turn]:
        """What was said before, oldest first; refusals and failures are no part of it."""
        turns: list[Turn] = []
        for exchange in self.exchanges:
            if exchange.answer and exchange.answer.answer and not exchange.answer.refused:
                turns.append({"role": "user", "content": exchange.question})
                turns.append({"role": "assistant", "content": exchange.answer.answer})
        return turns[-2 * REMEMBERED :]
