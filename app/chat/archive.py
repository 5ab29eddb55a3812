"""Kept conversations: every finished exchange, committed before the page says that it is finished.

What is kept suffices to show an answer again and to make a training label of it. Passages' texts are not kept: they are
read again from the index, so that access rules hold in the history too. An exchange that rests on a document which its
asker may not read now is there, but not what it says. Knows no HTML and no model.
"""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, Protocol, cast

import sqlalchemy as sa
from pydantic import TypeAdapter

from app.accounts import audit
from app.accounts.holdings import Now, Rests, together
from app.answering.answer import Answer
from app.answering.history import REMEMBERED
from app.answering.relevance import NOTHING
from app.database import Database, conversations, corrections, exchanges, judgements
from app.people import Person
from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.records import Chunk
from retrieval.chunks import DocumentVersion

LISTED = 200
"""Conversations that a list shows, the newest; a search finds the others."""

LONGEST_TITLE = 80
"""Characters of a title."""

Record = Mapping[str, Any]
Thumb = Literal["up", "down"]
Reason = Literal["wrong", "outdated", "not-found", "tone", ""]


class Library(Protocol):
    """What is asked of the documents: only ever what somebody with some groups may read now."""

    def versions(self, docs: Iterable[str], groups: frozenset[str]) -> Mapping[str, DocumentVersion]:
        """Those of some documents that they may read."""

    def passages(self, ids: Iterable[str], groups: frozenset[str]) -> Mapping[str, Chunk]:
        """The chunks of some ids that they may read."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a model is told of earlier: turns, oldest first, and what they rest on."""

    turns: tuple[Turn, ...] = ()
    rests: Rests = field(default_factory=Rests)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished exchange. `replaces`: the exchange whose place it takes; `stopped`: by the asker, half way."""

    answer: Answer
    remembered: Remembered
    stopped: bool = False
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the asker said of an answer, why, and what it should have been."""

    verdict: Thumb
    reason: Reason = ""
    correction: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One exchange of a conversation. `answer` is None where its asker may not read what it rests on."""

    id: int
    asked: float
    question: str
    answer: Answer | None
    stopped: bool
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in the list; times in seconds since 1970."""

    id: str
    title: str
    updated: float


class Archive:
    """The conversations of one database. Everything takes the person who asks, and finds only what is theirs."""

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library

    def keep(self, person: Person, conversation: str | None, outcome: Outcome) -> tuple[str, int]:
        """Commit an exchange.

        Args:
            person: who asked.
            conversation: where; None begins one.
            outcome: what came of it.

        Returns:
            The conversation's id and the exchange's.

        Raises:
            DeskmateError: the conversation is gone, or the database is.
        """
        answer = outcome.answer
        row = {
            "asked": time.time(),
            "question": answer.question,
            "mode": str(answer.mode),
            "answer": answer.answer,
            "refused": answer.refused,
            "confidence": answer.confidence,
            "adapter": answer.adapter,
            "generation": answer.generation,
            "replaced": False,
            "record": self._record(outcome, person),
        }
        with self._database.writing() as connection:
            if conversation is None:
                conversation = _begin(connection, person, answer.question)
            elif not _touch(connection, person, conversation):
                raise DeskmateError("this conversation was erased meanwhile, so the answer is not kept")
            if outcome.replaces is not None:
                _replace(connection, conversation, outcome.replaces)
            made = connection.execute(exchanges.insert().values(conversation=conversation, **row))
            return conversation, cast(sa.Row[int], made.inserted_primary_key)[0]

    def begin(self, person: Person, title: str) -> str:
        """Begin a conversation in which nothing has been asked yet; returns its id."""
        with self._database.writing() as connection:
            return _begin(connection, person, title)

    def title(self, person: Person, conversation: str) -> str | None:
        """A conversation's title; None where there is none of theirs."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(conversations.c.title).where(*_theirs(person, conversation)))

    def read(self, person: Person, conversation: str) -> list[Kept]:
        """The exchanges of a conversation, oldest first; empty where there is none of theirs."""
        return self._restored(person, _of(person).where(exchanges.c.conversation == conversation))

    def exchange(self, person: Person, exchange: int) -> Kept | None:
        """One exchange; None where there is none of theirs."""
        return next(iter(self._restored(person, _of(person).where(exchanges.c.id == exchange))), None)

    def remember(self, person: Person, conversation: str | None, without: int | None = None) -> Remembered:
        """What a model is told of a conversation: its last exchanges that answered, and that hold for the asker now.

        They must be able to read what an answer rests on, and it must be as it was.

        Args:
            person: who asks.
            conversation: which; None where it has not begun.
            without: an exchange that is being asked again.
        """
        if conversation is None:
            return Remembered()
        told = _of(person).where(exchanges.c.conversation == conversation, exchanges.c.refused.is_(False))
        told = told.where(exchanges.c.answer != "", exchanges.c.id != (without or 0))
        turns: list[Turn] = []
        parts: list[Rests] = []
        with self._database.reading() as connection:
            rows = connection.execute(told.order_by(None).order_by(exchanges.c.id.desc()).limit(REMEMBERED)).all()
        for row in reversed(rows):
            rests = Rests.of(row.record)
            now = self._now(rests.docs, person)
            if rests.may_read(now, person.groups) and rests.unchanged(now):
                turns.append(Turn(role="user", content=row.question))
                turns.append(Turn(role="assistant", content=row.answer))
                parts.append(rests)
        return Remembered(tuple(turns), together(parts))

    def listed(self, person: Person, search: str = "") -> list[Listed]:
        """Their conversations, the newest first; with `search` those in whose title, questions or answers it occurs."""
        columns = (conversations.c.id, conversations.c.title, conversations.c.updated)
        query = sa.select(*columns).where(conversations.c.owner == person.id)
        search = " ".join(search.split())
        if search:
            within = exchanges.c.question.icontains(search, autoescape=True) & exchanges.c.replaced.is_(False)
            asked = sa.select(exchanges.c.conversation).where(within)
            titled = conversations.c.title.icontains(search, autoescape=True)
            query = query.where(
                titled | conversations.c.id.in_(asked) | conversations.c.id.in_(self._said(person, search))
            )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(conversations.c.updated.desc(), conversations.c.id).limit(LISTED))
            return [Listed(*row) for row in rows]

    def rename(self, person: Person, conversation: str, title: str) -> bool:
        """Give a conversation another title; False where there is none of theirs."""
        change = conversations.update().where(*_theirs(person, conversation)).values(title=shortened(title))
        with self._database.writing() as connection:
            return bool(connection.execute(change).rowcount)

    def erase(self, person: Person, conversation: str | None = None) -> int:
        """Erase a conversation, or all of theirs, with everything that hangs on it; returns how many."""
        which = _theirs(person, conversation) if conversation else [conversations.c.owner == person.id]
        with self._database.writing() as connection:
            ids = connection.scalars(sa.select(conversations.c.id).where(*which)).all()
            among = exchanges.c.conversation.in_(ids)
            asked = connection.scalar(sa.select(sa.func.count()).select_from(exchanges).where(among))
            connection.execute(conversations.delete().where(*which))
            if ids:
                audit.note(
                    connection, person.id, "conversations.erased", {"conversations": len(ids), "exchanges": asked}
                )
        return len(ids)

    def _said(self, person: Person, search: str) -> list[str]:
        """The conversations in whose answers something occurs, as far as the person may read those answers."""
        query = _of(person).where(exchanges.c.answer.icontains(search, autoescape=True)).order_by(None)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        found = [(row.conversation, Rests.of(row.record)) for row in rows]
        now = self._now({doc for _, rests in found for doc in rests.docs}, person)
        return [conversation for conversation, rests in found if rests.may_read(now, person.groups)]

    def _record(self, outcome: Outcome, person: Person) -> dict[str, Any]:
        """All of an exchange but the texts of its passages.

        `docs` and `access` are of everything that it rests on, also by way of the turns before.
        """
        answer = outcome.answer
        prompt = [hit.chunk for hit in answer.hits[: answer.passages]]
        written, groups = self._correction(answer.corrected) if answer.corrected else (frozenset(), ())
        read = {chunk.doc for chunk in prompt} | {citation.doc for citation in answer.citations} | written
        now = self._now(read, person)
        # One that is gone since it was searched keeps its name: the answer rests on it all the same.
        docs = {doc: now.get(doc, DocumentVersion("", frozenset())) for doc in sorted(read)}
        rests = together((outcome.remembered.rests, Rests(docs, groups)))
        texts: Any = {"relevance": {"nearest"}, "hits": {"__all__": {"chunk": {"text"}}}}
        return {
            "answer": _answers().dump_python(answer, mode="json", exclude=texts),
            "passages": None if answer.generation is None else [chunk.id for chunk in prompt],
            "history": [dict(turn) for turn in outcome.remembered.turns],
            "stopped": outcome.stopped,
            **rests.as_record(),
        }

    def _correction(self, number: int) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
        """The documents that an answer of the help desk rests on, or where it rests on none, whom it is for."""
        chosen = sa.select(corrections.c.docs, corrections.c.access).where(corrections.c.id == number)
        with self._database.reading() as connection:
            row = connection.execute(chosen).one()
        return frozenset(row.docs), () if row.docs else tuple(frozenset(one) for one in row.access)

    def _restored(self, person: Person, query: sa.Select[Any]) -> list[Kept]:
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        kept = []
        for row in rows:
            rests = Rests.of(row.record)
            may_read = rests.may_read(self._now(rests.docs, person), person.groups)
            answer = self._answer(row.record, person) if may_read else None
            judgement = Judgement(row.verdict, row.reason, row.correction) if row.verdict else None
            kept.append(Kept(row.id, row.asked, row.question, answer, row.record["stopped"], judgement))
        return kept

    def _now(self, docs: Iterable[str], person: Person) -> Now:
        """Those of some documents that somebody may read, as they are now."""
        wanted = list(docs)
        return self._library.versions(wanted, person.groups) if wanted else {}

    def _answer(self, record: Record, person: Person) -> Answer:
        """An answer as it was, without passages that the person may not read now; one that has changed has no text."""
        ids = [hit["chunk"]["id"] for hit in record["answer"]["hits"]]
        docs = {hit["chunk"]["doc"] for hit in record["answer"]["hits"]}
        chunks = self._library.passages(ids, person.groups) if ids else {}
        readable = self._now(docs, person)
        answer = _answers().validate_python(_with_texts(record["answer"]))
        hits = tuple(
            replace(hit, chunk=chunks.get(hit.chunk.id, hit.chunk)) for hit in answer.hits if hit.chunk.doc in readable
        )
        return replace(answer, hits=hits, relevance=replace(NOTHING, **record["answer"]["relevance"]))


def shortened(title: str) -> str:
    """A title from what somebody wrote: one line, cut at a word where it is long."""
    words = " ".join(title.split())
    if len(words) <= LONGEST_TITLE:
        return words or "Untitled"
    cut = words[: LONGEST_TITLE - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[LONGEST_TITLE // 2 :] else cut).rstrip(" ,.;:") + "…"


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


def _with_texts(answer: Record) -> dict[str, Any]:
    """A kept answer in a form that `Answer` can be made of: the texts of its passages are empty."""
    hits = [{**hit, "chunk": {**hit["chunk"], "text": ""}} for hit in answer["hits"]]
    return {**answer, "hits": hits, "relevance": {}}


def _theirs(person: Person, conversation: str) -> Sequence[sa.ColumnElement[bool]]:
    return (conversations.c.id == conversation, conversations.c.owner == person.id)


def _of(person: Person) -> sa.Select[Any]:
    """A person's exchanges with what they said of them, oldest first, without those that others took the place of."""
    judged = (judgements.c.exchange == exchanges.c.id) & (judgements.c.owner == person.id)
    joined = exchanges.join(conversations).outerjoin(judgements, judged)
    said = (judgements.c.verdict, judgements.c.reason, judgements.c.correction)
    query = sa.select(exchanges, *said).select_from(joined).where(conversations.c.owner == person.id)
    return query.where(exchanges.c.replaced.is_(False)).order_by(exchanges.c.id)


def _begin(connection: sa.Connection, person: Person, title: str) -> str:
    made, now = secrets.token_hex(16), time.time()
    row = {"id": made, "owner": person.id, "title": shortened(title), "created": now, "updated": now}
    connection.execute(conversations.insert().values(**row))
    return made


def _touch(connection: sa.Connection, person: Person, conversation: str) -> bool:
    change = conversations.update().where(*_theirs(person, conversation)).values(updated=time.time())
    return bool(connection.execute(change).rowcount)


def _replace(connection: sa.Connection, conversation: str, exchange: int) -> None:
    """Take an exchange out of its conversation. One that somebody judged stays for the help desk."""
    one = (exchanges.c.id == exchange) & (exchanges.c.conversation == conversation)
    judged = sa.select(judgements.c.exchange)
    connection.execute(exchanges.update().where(one, exchanges.c.id.in_(judged)).values(replaced=True))
    connection.execute(exchanges.delete().where(one, exchanges.c.id.not_in(judged)))
