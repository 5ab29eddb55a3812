"""Hand-overs: a conversation that a person asked for, its masked packet, who has taken it, and what both sides said.

State lives in the database alone, so that it survives whatever happens to the server. What a packet rests on is
written beside it; who may see it is decided where it is shown. Delivery elsewhere is `app.staff.handover_post`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts import audit
from app.chat.talk import Handed, Said, Stand
from app.database import Database, conversations, deliveries, handovers, replies
from app.people import Person
from app.staff.packets import Packet, make_packet, packet_json, read_packet
from app.web.pages import place_of
from ingest.errors import DeskmateError

LONGEST_SAID = 4_000
"""Characters of one message."""

OPEN = ("waiting", "taken")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a packet has come on its way to a mailbox or a webhook: trying, delivered or failed."""

    id: int
    channel: str
    state: str
    tries: int
    due: float
    problem: str


@dataclass(frozen=True, slots=True)
class Handover:
    """A hand-over as the help desk sees it. `heard` is when the asker last said something, `answered` when we did."""

    id: int
    conversation: str
    owner: str
    at: float
    state: str
    taken_by: str
    taken_name: str
    closed: float | None
    packet: Packet
    said: tuple[Said, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def asked(self) -> str:
        """The last question, or the asker's own words where nothing was asked before."""
        return self.packet.note or (self.packet.exchanges[-1].question if self.packet.exchanges else "")

    @property
    def unanswered(self) -> float | None:
        """Since when the asker waits for a word of ours; None while the next word is theirs, or all is said."""
        if self.state == "closed":
            return None
        since: float | None = self.at
        for said in self.said:
            since = (since or said.at) if said.author == self.owner else None
        return since


class Handovers:
    """The hand-overs: what the chat needs (`app.chat.talk.Handovers`), and what the help desk does with them."""

    def __init__(
        self, database: Database, channels: Sequence[str] = (), posted: Callable[[], None] = lambda: None
    ) -> None:
        """Put the parts together.

        Args:
            database: where they are kept.
            channels: where each packet goes besides the queue: mail, webhook.
            posted: called after something was left for them.
        """
        self._database = database
        self._channels = tuple(channels)
        self._posted = posted

    # What the asker does.

    def preview(self, conversation: str) -> tuple[Handed, ...]:
        """See `app.chat.talk.Handovers`."""
        with self._database.reading() as connection:
            packet = make_packet(connection, conversation, "")
        return tuple(
            Handed(
                one.exchange,
                one.question,
                one.answer,
                one.confidence,
                tuple(dict.fromkeys(place_of(source.doc, source.page) for source in one.sources)),
            )
            for one in packet.exchanges
        )

    def begin(self, conversation: str, person: Person, note: str) -> Stand:
        """See `app.chat.talk.Handovers`."""
        _check_length(note)
        with self._database.writing() as connection:
            # The lock on the conversation's row makes two clicks one hand-over, where several may write at once.
            locked = sa.select(conversations.c.id).where(conversations.c.id == conversation).with_for_update()
            if connection.scalar(locked) is None:
                raise DeskmateError("this conversation is gone; start a new one")
            before = _stand(connection, conversation)
            if before and before.open:
                return before
            now = time.time()
            row = {
                "conversation": conversation,
                "at": now,
                "state": "waiting",
                "taken_by": "",
                "taken_name": "",
                "packet": packet_json(make_packet(connection, conversation, note)),
            }
            number = _inserted(connection.execute(handovers.insert().values(row)))
            for channel in self._channels:
                post = {
                    "handover": number,
                    "channel": channel,
                    "state": "trying",
                    "tries": 0,
                    "due": now,
                    "problem": "",
                }
                connection.execute(deliveries.insert().values(post))
            audit.note(connection, person.id, "handover.begun", {"handover": number, "conversation": conversation})
        self._posted()
        return Stand(number, "waiting", "", now)

    def state(self, conversation: str) -> Stand | None:
        """See `app.chat.talk.Handovers`."""
        with self._database.reading() as connection:
            return _stand(connection, conversation)

    def say(self, conversation: str, person: Person, text: str) -> Said:
        """See `app.chat.talk.Handovers`."""
        with self._database.writing() as connection:
            stand = _stand(connection, conversation)
            if stand is None or not stand.open:
                raise DeskmateError("nobody of the help desk is in this conversation any more; ask for a person again")
            return _say(connection, stand.handover, person, text)

    def since(self, conversation: str, after: int = 0) -> list[Said]:
        """See `app.chat.talk.Handovers`."""
        said = (
            sa.select(replies)
            .join(handovers, handovers.c.id == replies.c.handover)
            .where(handovers.c.conversation == conversation, replies.c.id > after)
            .order_by(replies.c.id)
        )
        with self._database.reading() as connection:
            return [_said(row) for row in connection.execute(said).mappings()]

    def close(self, conversation: str, person: Person) -> None:
        """See `app.chat.talk.Handovers`."""
        with self._database.writing() as connection:
            stand = _stand(connection, conversation)
            if stand and stand.open:
                _close(connection, stand.handover, person)

    # What the help desk does.

    def open(self, closed: bool = False, most: int = 200) -> list[Handover]:
        """The hand-overs that wait or are taken, the one that waits longest first; or the closed ones, last first."""
        chosen = sa.select(handovers, conversations.c.owner).join(conversations)
        if closed:
            chosen = chosen.where(handovers.c.state == "closed").order_by(handovers.c.closed.desc())
        else:
            chosen = chosen.where(handovers.c.state.in_(OPEN)).order_by(handovers.c.at)
        with self._database.reading() as connection:
            found = _whole(connection, connection.execute(chosen.limit(most)).mappings())
        return found if closed else sorted(found, key=lambda one: (one.unanswered or float("inf"), one.at))

    def waiting(self) -> int:
        """How many hand-overs nobody has taken."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(handovers.c.state == "waiting")) or 0

    def find(self, number: int) -> Handover:
        """A hand-over by its number.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.reading() as connection:
            chosen = sa.select(handovers, conversations.c.owner).join(conversations).where(handovers.c.id == number)
            found = _whole(connection, connection.execute(chosen).mappings())
        if not found:
            raise DeskmateError("there is no such hand-over; the asker may have erased the conversation")
        return found[0]

    def take(self, number: int, person: Person, from_: str = "") -> None:
        """Take a hand-over; of several who try at once, one gets it.

        Args:
            number: of the hand-over.
            person: who takes it.
            from_: the `Person.id` of who has it, to take it over from them.

        Raises:
            DeskmateError: somebody else has it, or it is closed.
        """
        mine = {"state": "taken", "taken_by": person.id, "taken_name": person.name}
        with self._database.writing() as connection:
            free = (handovers.c.id == number, handovers.c.state.in_(OPEN), handovers.c.taken_by.in_(("", from_)))
            if connection.execute(handovers.update().where(*free).values(mine)).rowcount:
                audit.note(connection, person.id, "handover.taken", {"handover": number, "from": from_})
                return
            _holder(connection, number, person)

    def give_back(self, number: int, person: Person) -> None:
        """Let somebody else take it.

        Raises:
            DeskmateError: it is not theirs.
        """
        with self._database.writing() as connection:
            _holder(connection, number, person)
            free = {"state": "waiting", "taken_by": "", "taken_name": ""}
            connection.execute(handovers.update().where(handovers.c.id == number).values(free))
            audit.note(connection, person.id, "handover.given-back", {"handover": number})

    def reply(self, number: int, person: Person, text: str) -> Said:
        """Answer the asker.

        Raises:
            DeskmateError: it is not theirs, closed, or the text is empty or too long.
        """
        with self._database.writing() as connection:
            _holder(connection, number, person)
            return _say(connection, number, person, text)

    def finish(self, number: int, person: Person) -> None:
        """Close a hand-over: the assistant answers again in that conversation.

        Raises:
            DeskmateError: it is not theirs, or closed already.
        """
        with self._database.writing() as connection:
            _holder(connection, number, person)
            _close(connection, number, person)


def _stand(connection: sa.Connection, conversation: str) -> Stand | None:
    latest = (
        sa.select(handovers.c.id, handovers.c.state, handovers.c.taken_name, handovers.c.at, handovers.c.closed)
        .where(handovers.c.conversation == conversation)
        .order_by(handovers.c.id.desc())
        .limit(1)
    )
    row = connection.execute(latest).first()
    return Stand(*row) if row else None


def _holder(connection: sa.Connection, number: int, person: Person) -> None:
    """Check that a hand-over is this person's; the row is locked until the transaction ends.

    Raises:
        DeskmateError: it is not.
    """
    columns = (handovers.c.state, handovers.c.taken_by, handovers.c.taken_name)
    row = connection.execute(sa.select(*columns).where(handovers.c.id == number).with_for_update()).first()
    if row is None:
        raise DeskmateError("there is no such hand-over; the asker may have erased the conversation")
    if row.state == "closed":
        raise DeskmateError("this hand-over is closed; nothing more can be done with it")
    if row.state == "waiting":
        raise DeskmateError("nobody has taken this hand-over yet; take it first")
    if row.taken_by != person.id:
        who = row.taken_name or "Somebody"  # a guest on this machine has no name
        raise DeskmateError(f"{who} has taken this hand-over; leave it to them, or take it over")


def _say(connection: sa.Connection, number: int, person: Person, text: str) -> Said:
    text = text.strip()
    if not text:
        raise DeskmateError("the message is empty; write something")
    _check_length(text)
    row = {"handover": number, "at": time.time(), "author": person.id, "name": person.name, "text": text}
    said = _inserted(connection.execute(replies.insert().values(row)))
    audit.note(connection, person.id, "handover.said", {"handover": number, "reply": said})
    return Said(said, row["at"], person.id, person.name, text)  # type: ignore[arg-type]  # a dict of several types


def _close(connection: sa.Connection, number: int, person: Person) -> None:
    over = {"state": "closed", "closed": time.time()}
    connection.execute(handovers.update().where(handovers.c.id == number).values(over))
    audit.note(connection, person.id, "handover.closed", {"handover": number})


def _check_length(text: str) -> None:
    if len(text) > LONGEST_SAID:
        raise DeskmateError(f"a message has at most {LONGEST_SAID:,} characters, this one {len(text):,}; shorten it")


def _inserted(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _whole(connection: sa.Connection, rows: Iterable[sa.RowMapping]) -> list[Handover]:
    """Hand-overs with what was said in them and where they were sent."""
    found = list(rows)
    numbers = [row["id"] for row in found]
    said: dict[int, list[Said]] = {number: [] for number in numbers}
    sent: dict[int, list[Delivery]] = {number: [] for number in numbers}
    for row in connection.execute(
        sa.select(replies).where(replies.c.handover.in_(numbers)).order_by(replies.c.id)
    ).mappings():
        said[row["handover"]].append(_said(row))
    for row in connection.execute(
        sa.select(deliveries).where(deliveries.c.handover.in_(numbers)).order_by(deliveries.c.id)
    ).mappings():
        sent[row["handover"]].append(Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__}))
    return [
        Handover(
            id=row["id"],
            conversation=row["conversation"],
            owner=row["owner"],
            at=row["at"],
            state=row["state"],
            taken_by=row["taken_by"],
            taken_name=row["taken_name"],
            closed=row["closed"],
            packet=read_packet(row["packet"]),
            said=tuple(said[row["id"]]),
            deliveries=tuple(sent[row["id"]]),
        )
        for row in found
    ]


def _said(row: sa.RowMapping) -> Said:
    return Said(row["id"], row["at"], row["author"], row["name"], row["text"])
