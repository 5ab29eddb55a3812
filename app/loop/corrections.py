"""The help desk's own answers: what a person wrote to a question stands before what any model would write to it.

A correction is for the very same question only. It is given while every document that it rests on is as it was, and to
people who may read all of them now; a changed document suspends it until somebody has looked again. Decides and keeps;
the form in which one is written is `app.loop.correction_form`.
"""

import hashlib
import logging
import re
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts import audit
from app.accounts.holdings import Holdings, Rests
from app.answering.corrected import Corrected
from app.answering.grounding import Citation
from app.database import Database, corrections, users
from app.people import Person, Role
from ingest.errors import DeskmateError
from ingest.normalise import normalise
from ingest.records import EVERYONE, Chunk
from retrieval.records import Hit

ACTIVE = ("serving", "reviewed")
GONE = "there is no such correction; somebody may have withdrawn it"

_EDGES = ".,;:!?¿¡…\"'`‘’‚‛“”„‟«»‹›()[]{}*_~"
_DASHES = re.compile("[\u2010-\u2015\u2212]")

log = logging.getLogger("deskmate.corrections")


@dataclass(frozen=True, slots=True)
class Cited:
    """A place in a document that a correction rests on; as `Citation`, with the document's title."""

    n: int
    doc: str
    title: str
    heading: str
    page: int | None
    chunk_id: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A correction that somebody has written. `exchange`: what it corrects, if it was asked in a kept conversation."""

    question: str
    answer: str
    cited: tuple[Cited, ...]
    rests: Rests
    exchange: int | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction as it is kept. `suspended`: a document that it rests on has changed or is gone."""

    id: int
    draft: Draft
    state: str
    author: str
    author_name: str
    reviewer: str
    at: float
    suspended: bool

    @property
    def active(self) -> bool:
        """Whether it is given, or would be if its documents were as they were."""
        return self.state in ACTIVE


class Corrections:
    """The corrections of a database."""

    def __init__(self, database: Database, holdings: Holdings) -> None:
        """Put the parts together.

        Args:
            database: where they are kept.
            holdings: which documents there are, and who may read them.
        """
        self._database = database
        self._holdings = holdings

    def served(self, question: str, groups: frozenset[str]) -> Corrected | None:
        """The latest correction of this very question for somebody in some groups; see `app.answering.corrected`."""
        active = (corrections.c.key == question_key(question), corrections.c.state.in_(ACTIVE))
        try:
            with self._database.reading() as connection:
                rows = connection.execute(sa.select(corrections).where(*active).order_by(corrections.c.id.desc())).all()
        except DeskmateError as error:
            log.warning("corrections cannot be read, the documents answer: %s", error)
            return None
        found = (self._correction(row) for row in rows)
        return next((_corrected(one) for one in found if not one.suspended and self.may_see(one, groups)), None)

    def may_see(self, correction: Correction, groups: frozenset[str]) -> bool:
        """Whether somebody in some groups may see what a correction says."""
        return self._holdings.may_read(correction.draft.rests, groups)

    def all(self, states: Sequence[str] = ACTIVE, most: int = 500) -> list[Correction]:
        """The corrections in some states, the newest first."""
        chosen = sa.select(corrections).where(corrections.c.state.in_(states)).order_by(corrections.c.id.desc())
        with self._database.reading() as connection:
            return [self._correction(row) for row in connection.execute(chosen.limit(most))]

    def suspended(self) -> list[Correction]:
        """Those that wait for somebody to look again: a document has changed. The oldest first."""
        return [one for one in reversed(self.all()) if one.suspended]

    def find(self, number: int) -> Correction:
        """A correction by its number.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(sa.select(corrections).where(corrections.c.id == number)).first()
        if row is None:
            raise DeskmateError(GONE)
        return self._correction(row)

    def of(self, question: str, groups: frozenset[str]) -> Correction | None:
        """The active correction of a question that somebody may see, suspended or not; the newest."""
        active = (corrections.c.key == question_key(question), corrections.c.state.in_(ACTIVE))
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(corrections).where(*active).order_by(corrections.c.id.desc())).all()
        return next((one for one in map(self._correction, rows) if self.may_see(one, groups)), None)

    def save(self, connection: sa.Connection, draft: Draft, person: Person, replaces: int | None = None) -> int:
        """Keep a correction; it counts from the end of the transaction on.

        Args:
            connection: that writes.
            draft: what was written.
            person: who wrote it.
            replaces: the correction whose place it takes.

        Returns:
            Its number.

        Raises:
            DeskmateError: the one that it was to replace is not active any more.
        """
        if replaces is not None and not _change(connection, replaces, ACTIVE, state="withdrawn"):
            raise DeskmateError("somebody has changed or withdrawn this correction meanwhile; open the question again")
        row = {
            "key": question_key(draft.question),
            "question": draft.question,
            "answer": draft.answer,
            "citations": [asdict(one) for one in draft.cited],
            **draft.rests.as_record(),
            "exchange": draft.exchange,
            "state": "serving",
            "author": person.id,
            "author_name": person.name,
            "reviewer": "",
            "at": time.time(),
        }
        key = connection.execute(corrections.insert().values(row)).inserted_primary_key
        assert key is not None
        about = {"correction": int(key[0]), "exchange": draft.exchange, "replaces": replaces}
        audit.note(connection, person.id, "correction.saved", about)
        return int(key[0])

    def withdraw(self, number: int, person: Person) -> None:
        """Give it no more. Anybody of the help desk may, whether or not they may see what it says.

        Raises:
            DeskmateError: it is not active.
        """
        with self._database.writing() as connection:
            if not _change(connection, number, ACTIVE, state="withdrawn"):
                raise DeskmateError(GONE)
            audit.note(connection, person.id, "correction.withdrawn", {"correction": number})

    def review(self, number: int, person: Person) -> None:
        """Say that a correction is right, so that it may be tuned on: a second person, where there is one.

        Raises:
            DeskmateError: they may not see it, wrote it themselves, or there is nothing to review.
        """
        correction = self.find(number)
        if not self.may_see(correction, person.groups):
            raise DeskmateError("this correction rests on documents that you may not read; leave it to somebody else")
        if correction.suspended:
            raise DeskmateError("a document has changed since it was written; write the answer again, or withdraw it")
        with self._database.writing() as connection:
            if _own(connection, correction, person):
                raise DeskmateError(
                    "you wrote this correction yourself; somebody else of the help desk has to review it"
                )
            if not _change(connection, number, ("serving",), state="reviewed", reviewer=person.id):
                raise DeskmateError("this correction was reviewed or withdrawn meanwhile")
            audit.note(connection, person.id, "correction.reviewed", {"correction": number})

    def may_review(self, correction: Correction, person: Person) -> bool:
        """Whether `review` would take somebody's word."""
        if correction.state != "serving" or correction.suspended or not self.may_see(correction, person.groups):
            return False
        with self._database.reading() as connection:
            return not _own(connection, correction, person)

    def _correction(self, row: sa.Row[Any]) -> Correction:
        rests = Rests.of({"docs": row.docs, "access": row.access})
        cited = tuple(Cited(**one) for one in row.citations)
        draft = Draft(row.question, row.answer, cited, rests, row.exchange)
        gone = not self._holdings.unchanged(rests)
        return Correction(row.id, draft, row.state, row.author, row.author_name, row.reviewer, row.at, gone)


def question_key(question: str) -> str:
    """How two spellings of a question are told to be one: case, white space, and punctuation around words do not count.

    Nothing else is guessed: other words are another question. Signs inside words stay, so 1.5 is not 15 and C# not C.
    """
    text = unicodedata.normalize("NFKC", normalise(question).casefold())
    words = (word.strip(_EDGES) for word in _DASHES.sub("-", text).replace("’", "'").split())
    return hashlib.sha256(" ".join(word for word in words if word.strip("-")).encode()).hexdigest()


def for_groups(groups: Iterable[str]) -> Rests:
    """What an answer rests on that rests on no document: on nothing, and it is for some groups only."""
    return Rests(groups=(frozenset(groups) or frozenset({EVERYONE}),))


def _change(connection: sa.Connection, number: int, states: Sequence[str], **values: str) -> bool:
    """Change a correction that is in one of some states; whether there was one."""
    one = (corrections.c.id == number, corrections.c.state.in_(states))
    return connection.execute(corrections.update().where(*one).values(**values)).rowcount == 1


def _own(connection: sa.Connection, correction: Correction, person: Person) -> bool:
    """Whether somebody wrote a correction themselves, and another could review it."""
    others = (users.c.role.in_((Role.DESK, Role.ADMIN)), users.c.disabled.is_(False))
    ids = connection.scalars(sa.select(users.c.id).where(*others))
    return correction.author == person.id and any(f"user-{one}" != person.id for one in ids)


def _corrected(correction: Correction) -> Corrected:
    draft = correction.draft
    citations = tuple(
        Citation(one.n, one.doc, one.heading, one.page, one.chunk_id, one.start, one.end, one.quote)
        for one in draft.cited
    )
    chunks = {
        one.n: Chunk(
            one.chunk_id, one.doc, one.title, one.heading, one.page, one.start, one.end, one.quote, frozenset()
        )
        for one in draft.cited
    }
    hits = tuple(Hit(n, 1.0, chunk) for n, chunk in sorted(chunks.items()))
    return Corrected(correction.id, draft.answer, citations, hits)
