"""The audit: who did what when, in rows that nobody can change, remove or slip in without breaking a chain of hashes.

Each row's hash covers the row and the hash before it. Knows ids and counts, never what was asked, answered or typed.
Whoever can write to the database can write the whole chain anew: an older head, kept elsewhere, shows that too.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.database import Database, alone, audit

FIRST = "0" * 64
"""What the first row names as the hash before it."""

CONSOLE = "console"
"""Who acts on the command line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `at` is in seconds since 1970; `who` is a `Person.id` or `CONSOLE`."""

    id: int
    at: float
    who: str
    what: str
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the whole chain found.

    `head` is the last hash, to be kept elsewhere; `broken` the id of the first row that is not as it was written, None
    where there is none or the rows are whole but too few; `problem` says what is wrong, empty where nothing is.
    """

    rows: int
    head: str
    broken: int | None = None
    problem: str = ""


def note(connection: sa.Connection, who: str, what: str, about: Mapping[str, Any]) -> None:
    """Write a row in the transaction that does what it tells of: both count, or neither.

    Call it last in a transaction: from here to its end, other writers wait.

    Args:
        connection: of `Database.writing`.
        who: `Person.id`, or `CONSOLE`.
        what: such as `handover.taken`.
        about: ids and counts that JSON can hold; never questions, answers, names or secrets.
    """
    alone(connection, audit)  # two rows with the same one before them would be a fork
    previous = connection.scalar(sa.select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)) or FIRST
    at = time.time()
    row = {"at": at, "who": who, "what": what, "about": dict(about), "previous": previous}
    connection.execute(audit.insert().values(**row, hash=_hash(row)))


def entries(database: Database, most: int = 50) -> list[Entry]:
    """The last rows, the newest first."""
    columns = (audit.c.id, audit.c.at, audit.c.who, audit.c.what, audit.c.about)
    with database.reading() as connection:
        found = connection.execute(sa.select(*columns).order_by(audit.c.id.desc()).limit(most))
        return [Entry(*row) for row in found]


def verify(database: Database, head: str = "") -> Verdict:
    """Follow the chain from its beginning.

    Args:
        database: whose audit.
        head: what an earlier look gave as the last hash; rows cut off the end are found out only by it.
    """
    rows, previous = 0, FIRST
    seen = head in ("", FIRST)
    for row in _rows(database):
        if row["previous"] != previous:
            problem = "does not follow the row before it: rows were removed, put in or moved there"
            return Verdict(rows, previous, row["id"], problem)
        if _hash(row) != row["hash"]:
            return Verdict(rows, previous, row["id"], "was changed after it was written")
        rows, previous = rows + 1, row["hash"]
        seen = seen or previous == head
    if not seen:
        return Verdict(
            rows, previous, None, "the given head is not in it: rows were removed at the end, or all rewritten"
        )
    return Verdict(rows, previous)


def _rows(database: Database) -> Iterator[Mapping[str, Any]]:
    with database.reading() as connection:
        for row in connection.execution_options(yield_per=1000).execute(sa.select(audit).order_by(audit.c.id)):
            yield row._asdict()


def _hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row's canonical JSON, the hash before it included."""
    content = {name: row[name] for name in ("at", "who", "what", "about", "previous")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
