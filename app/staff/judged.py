"""Answers that askers judged bad, and single exchanges, as the help desk sees them: masked, with what they rest on.

Reads what `app.chat.archive` and `app.chat.judgements` keep. Who may see an answer is decided where it is shown.
"""

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts import audit
from app.accounts.holdings import Rests
from app.answering.history import standalone
from app.database import Database, exchanges, judgements
from app.people import Person
from app.staff.packets import Packet, make_packet, names_of, published_in
from finetune.curation.pii import mask
from finetune.template import Turn
from ingest.errors import DeskmateError

GONE = "there is no such answer any more; the asker may have erased the conversation, or changed their mind"


@dataclass(frozen=True, slots=True)
class Asked:
    """One exchange. `whole` is the question as it was searched for, with the one before it where it leant on that."""

    id: int
    conversation: str
    question: str
    whole: str
    answer: str
    refused: bool
    rests: Rests
    cited: tuple[tuple[int, str], ...]
    """Number and chunk id of each passage that the answer cites."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A thumb down: `reason` is one of `app.chat.feedback.REASONS` or empty, `proposal` the asker's own answer."""

    id: int
    at: float
    reason: str
    proposal: str
    settled: float | None
    asked: Asked


class JudgedAnswers:
    """The judgements of a database that are the help desk's matter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, most: int = 200) -> list[Judged]:
        """Those that nobody has settled, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_down().where(judgements.c.settled.is_(None)).limit(most)).all()
            return [_judged(connection, row) for row in rows]

    def waiting(self) -> int:
        """How many nobody has settled."""
        down = (judgements.c.verdict == "down", judgements.c.settled.is_(None))
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(judgements).where(*down)) or 0

    def find(self, number: int) -> Judged:
        """One by its number.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(_down().where(judgements.c.id == number)).first()
            if row is None:
                raise DeskmateError(GONE)
            return _judged(connection, row)

    def exchange(self, number: int) -> Asked:
        """An exchange by its number, judged or not.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(sa.select(exchanges).where(exchanges.c.id == number)).first()
            if row is None:
                raise DeskmateError(GONE)
            return _asked(connection, row, "")[0]

    def packet(self, asked: Asked) -> Packet:
        """The conversation up to an exchange."""
        with self._database.reading() as connection:
            return make_packet(connection, asked.conversation, "", until=asked.id)

    def settle(self, connection: sa.Connection, number: int, person: Person, how: str) -> None:
        """Be done with a judgement.

        Args:
            connection: that writes.
            number: of the judgement.
            person: who is done with it.
            how: corrected, dismissed.

        Raises:
            DeskmateError: somebody else was first, or the asker took it back.
        """
        one = (judgements.c.id == number, judgements.c.settled.is_(None))
        if not connection.execute(judgements.update().where(*one).values(settled=time.time())).rowcount:
            raise DeskmateError("somebody has settled this already, or the asker took it back")
        audit.note(connection, person.id, f"judgement.{how}", {"judgement": number})

    def dismiss(self, number: int, person: Person) -> None:
        """Settle a judgement without a correction.

        Raises:
            DeskmateError: see `settle`.
        """
        with self._database.writing() as connection:
            self.settle(connection, number, person, "dismissed")


def _down() -> sa.Select[Any]:
    said = (judgements.c.id.label("judgement"), judgements.c.at, judgements.c.reason, judgements.c.correction)
    query = sa.select(exchanges, *said, judgements.c.settled).select_from(judgements.join(exchanges))
    return query.where(judgements.c.verdict == "down").order_by(judgements.c.at, judgements.c.id)


def _judged(connection: sa.Connection, row: sa.Row[Any]) -> Judged:
    asked, proposal = _asked(connection, row, row.correction)
    return Judged(row.judgement, row.at, row.reason, proposal, row.settled, asked)


def _asked(connection: sa.Connection, row: sa.Row[Any], proposal: str) -> tuple[Asked, str]:
    """An exchange, and what its asker would have said, both masked."""
    record = row.record
    keep, names = published_in([record]), names_of(connection, [row.conversation])

    def clean(text: str) -> str:
        return mask(text, keep, names).text

    history = [Turn(role=turn["role"], content=turn["content"]) for turn in record["history"]]
    whole = " ".join(standalone(row.question, history).split())
    cited = {(one["n"], one["chunk_id"]) for one in record["answer"]["citations"]}
    asked = Asked(
        id=row.id,
        conversation=row.conversation,
        question=clean(row.question),
        whole=clean(whole),
        answer=row.answer if row.refused else clean(row.answer),  # a refusal is the house's own words
        refused=row.refused,
        rests=Rests.of(record),
        cited=tuple(sorted(cited)),
    )
    return asked, clean(proposal)
