"""What the chat asks of whoever hands conversations over to people: a protocol and its plain data. Does nothing itself.

`app.staff.handovers` is behind it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from app.people import Person

Stage = Literal["waiting", "taken", "closed"]


@dataclass(frozen=True, slots=True)
class Stand:
    """How the latest hand-over of a conversation stands. `by`: the shown name of who took it, or empty."""

    handover: int
    stage: Stage
    by: str
    at: float
    closed: float | None = None

    @property
    def open(self) -> bool:
        """Whether people have the word, so that the assistant is silent."""
        return self.stage != "closed"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said in a hand-over. `author` is their `Person.id`; ids grow with time."""

    id: int
    at: float
    author: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Handed:
    """One exchange as it would be handed over: masked, with the places of its passages. `exchange`: its number."""

    exchange: int
    question: str
    answer: str
    confidence: float
    sources: tuple[str, ...] = ()


class Handovers(Protocol):
    """What the chat needs of hand-overs."""

    def preview(self, conversation: str) -> tuple[Handed, ...]:
        """What `begin` would hand over now, oldest first."""

    def begin(self, conversation: str, person: Person, note: str) -> Stand:
        """Hand a conversation over, with a note of the asker's, which may be empty; committed when it returns.

        Where it is with people already, nothing changes.

        Raises:
            DeskmateError: it cannot be taken.
        """

    def state(self, conversation: str) -> Stand | None:
        """How the latest hand-over stands; None where there was none."""

    def say(self, conversation: str, person: Person, text: str) -> Said:
        """Add what the asker says to the open hand-over; committed when it returns.

        Raises:
            DeskmateError: it is too long, or there is no open hand-over.
        """

    def since(self, conversation: str, after: int = 0) -> list[Said]:
        """What was said in all hand-overs of a conversation, by both sides, after the message `after`; oldest first."""

    def close(self, conversation: str, person: Person) -> None:
        """The asker needs nobody any more: the assistant has the word again."""
