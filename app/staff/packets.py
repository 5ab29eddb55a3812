"""What is handed over of a conversation: questions, answers, passages and confidence, masked, with what they rest on.

Reads the kept exchanges; decides nothing about who may see it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts.holdings import Rests
from app.database import conversations, exchanges, users
from finetune.curation.pii import mask, published
from ingest.records import EVERYONE, Chunk

MOST_EXCHANGES = 30
"""Exchanges of a packet: the last ones."""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer cites: a document's text from `start` to `end`; `quote` is the same, masked."""

    n: int
    doc: str
    heading: str
    page: int | None
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Turned:
    """One exchange of a packet. `rests`: all that the answer rests on, also by way of earlier turns."""

    exchange: int
    question: str
    answer: str
    refused: bool
    confidence: float
    rests: Rests
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Packet:
    """What is handed over. `note`: the asker's words; `masked` counts the personal data taken out, by its kind."""

    note: str
    exchanges: tuple[Turned, ...]
    masked: Mapping[str, int]


_PLAIN = ("exchange", "question", "answer", "refused", "confidence")


def make_packet(connection: sa.Connection, conversation: str, note: str, until: int | None = None) -> Packet:
    """The packet of a conversation as it is now.

    Args:
        connection: that reads.
        conversation: its id.
        note: what the asker says to it, unmasked.
        until: the exchange that is the last one, whether or not another has taken its place; by default the newest.
    """
    among: sa.ColumnElement[bool] = exchanges.c.replaced.is_(False)
    if until is not None:
        among = (exchanges.c.id == until) | (among & (exchanges.c.id < until))
    kept = sa.select(exchanges).where(exchanges.c.conversation == conversation, among)
    latest = kept.order_by(exchanges.c.id.desc()).limit(MOST_EXCHANGES)
    rows = list(reversed(connection.execute(latest).mappings().all()))
    names = names_of(connection, [conversation])
    keep = published_in(row["record"] for row in rows)
    counts: Counter[str] = Counter()

    def clean(text: str) -> str:
        masked = mask(text, keep, names)
        counts.update(masked.counts)
        return masked.text

    turned = tuple(_turned(row, clean) for row in rows)
    return Packet(clean(note.strip()), turned, dict(counts))


def packet_json(packet: Packet) -> dict[str, Any]:
    """A packet for the database."""
    turned = [
        {
            **{name: getattr(one, name) for name in _PLAIN},
            "rests": one.rests.as_record(),
            "sources": list(map(asdict, one.sources)),
        }
        for one in packet.exchanges
    ]
    return {"note": packet.note, "exchanges": turned, "masked": dict(packet.masked)}


def read_packet(data: Mapping[str, Any]) -> Packet:
    """A packet from the database."""
    turned = tuple(
        Turned(
            **{
                **one,
                "rests": Rests.of(one["rests"]),
                "sources": tuple(Source(**source) for source in one["sources"]),
            }
        )
        for one in data["exchanges"]
    )
    return Packet(data["note"], turned, data["masked"])


def names_of(connection: sa.Connection, of: Iterable[str]) -> list[str]:
    """The shown names of the people to whom some conversations belong: they know their own names, and write them."""
    owners = sa.select(conversations.c.owner).where(conversations.c.id.in_(list(of))).distinct()
    accounts = (owner.removeprefix("user-") for owner in connection.scalars(owners))
    numbers = [int(one) for one in accounts if one.isdigit()]
    return list(connection.scalars(sa.select(users.c.shown).where(users.c.id.in_(numbers))))


def published_in(records: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Addresses and numbers that stand in what answers quote of documents for everyone: the company's own."""
    chunks = []
    for record in records:
        answer = record["answer"]
        public = {hit["chunk"]["doc"] for hit in answer["hits"] if EVERYONE in hit["chunk"].get("access", ())}
        for cited in answer["citations"]:
            if cited["doc"] in public:
                chunks.append(Chunk("", cited["doc"], "", "", None, 0, 0, cited["quote"]))
    return published(chunks)


def _turned(row: sa.RowMapping, clean: Callable[[str], str]) -> Turned:
    record = row["record"]
    names = Source.__dataclass_fields__
    sources = tuple(
        Source(**{**{name: cited[name] for name in names}, "quote": clean(cited["quote"])})
        for cited in record["answer"]["citations"]
    )
    return Turned(
        exchange=row["id"],
        question=clean(row["question"]),
        answer=row["answer"] if row["refused"] else clean(row["answer"]),  # a refusal is the house's own words
        refused=row["refused"],
        confidence=row["confidence"],
        rests=Rests.of(record),
        sources=sources,
    )
