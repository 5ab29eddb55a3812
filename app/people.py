"""Who asks: a person, what they may read and what they may do. Knows no passwords, no cookies and no HTTP."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do, each more than the one before."""

    ASKER = "asker"
    """Asks, and sees their own conversations."""
    DESK = "desk"
    """Works the help desk as well: takes hand-overs, corrects answers."""
    ADMIN = "admin"
    """Runs it: documents, adapters, what is tuned on."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in, or a guest's browser.

    `id` owns conversations: `user-` and the account's number, or `guest-` and a random number that the browser keeps.
    `groups`: what they may read besides what is for everyone.
    """

    id: str
    name: str
    groups: frozenset[str] = field(default_factory=frozenset)
    role: Role = Role.ASKER

    def may(self, role: Role) -> bool:
        """Whether they may do what `role` may."""
        ranks = list(Role)
        return ranks.index(self.role) >= ranks.index(role)

    @property
    def guest(self) -> bool:
        """Whether it is a browser that nobody has signed in to."""
        return self.id.startswith("guest-")
