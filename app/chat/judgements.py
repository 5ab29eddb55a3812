"""What askers say of answers: thumbs, reasons, and what would have been right. Also as labels for tuning.

Owns the table; what the help desk makes of a judgement is its own matter. An asker's words about the right answer are
never a label by themselves: somebody has to review them first.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from app.chat.archive import Judgement
from app.database import Database, conversations, exchanges, judgements
from app.people import Person


class Judgements:
    """The judgements of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def judge(self, person: Person, exchange: int, judgement: Judgement) -> bool:
        """Say something of an answer, in place of what was said before; it is committed when this returns.

        Returns:
            False where there is no such answer of theirs.
        """
        said = {
            "at": time.time(),
            "verdict": judgement.verdict,
            "reason": judgement.reason if judgement.verdict == "down" else "",
            "correction": judgement.correction if judgement.verdict == "down" else "",
            "settled": None,
        }
        with self._database.writing() as connection:
            if connection.scalar(_theirs(person, exchange).with_for_update()) is None:
                return False
            change = judgements.update().where(*_said_by(person, exchange)).values(**said)
            if not connection.execute(change).rowcount:
                connection.execute(judgements.insert().values(exchange=exchange, owner=person.id, **said))
        return True

    def withdraw(self, person: Person, exchange: int) -> None:
        """Take back what was said of an answer."""
        with self._database.writing() as connection:
            connection.execute(judgements.delete().where(*_said_by(person, exchange)))


def labels(database: Database, corrections: Mapping[int, str] | None = None) -> Iterator[dict[str, Any]]:
    """Every judgement as a line for `deskmate tune --from-feedback` (docs/feedback.md), the oldest first.

    What may be tuned on is decided there, as are masking, access and staleness. A refusal that came before the model
    was asked is no answer of the model and no label.

    Args:
        database: whose judgements.
        corrections: reviewed right answers by the exchange that they correct.
    """
    corrections = corrections or {}
    query = sa.select(judgements.c.id, judgements.c.verdict, exchanges.c.id.label("exchange"), exchanges.c.question)
    query = query.add_columns(exchanges.c.conversation, exchanges.c.record)
    query = query.select_from(judgements.join(exchanges)).order_by(judgements.c.at, judgements.c.id)
    with database.reading() as connection:
        for row in connection.execution_options(yield_per=500).execute(query):
            record = row.record
            written = record["answer"]["written"]
            if not written.strip() or record["stopped"]:
                continue
            correction = corrections.get(row.exchange, "") if row.verdict == "down" else ""
            yield {
                "id": f"j{row.id}",
                "question": row.question,
                "history": record["history"],
                "passages": record["passages"],
                "answer": written,
                "verdict": row.verdict,
                "correction": correction,
                "conversation": hashlib.sha256(row.conversation.encode()).hexdigest()[:16],
                "docs": record["docs"],
                "access": record["access"],
            }


def _theirs(person: Person, exchange: int) -> sa.Select[Any]:
    mine = (exchanges.c.id == exchange, conversations.c.owner == person.id)
    return sa.select(exchanges.c.id).join(conversations).where(*mine)


def _said_by(person: Person, exchange: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (judgements.c.exchange == exchange, judgements.c.owner == person.id)
