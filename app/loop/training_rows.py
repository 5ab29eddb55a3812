"""Training rows out of what people said: thumbs, and answers that the help desk wrote and reviewed, masked and counted.

A row is a label as docs/feedback.md has it. Its id leads back to the judgement or the correction that it is made of
(`app.loop.row_trace`). An asker's own words about the right answer become a row only by way of a correction that
somebody reviewed.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.accounts.holdings import Holdings
from app.answering.grounding import MARKER
from app.chat.judgements import labels
from app.database import Database, corrections, exchanges, judgements
from app.desk import Desk
from app.loop.correction_rows import included_rows
from app.loop.corrections import Corrections
from app.loop.prefer import library
from finetune.curation.feedback import REASONS, Judged, Label, Library, screen
from finetune.curation.pii import mask
from finetune.training.preference import Method, missing, usable
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic

OWN_REASONS = {
    "no-exchange": "the correction is of no kept conversation, so there is no answer that it is better than",
    "not-asked": "the assistant had declined before the model was asked, or was stopped: no answer of the model",
    "not-shown": "the correction rests on a passage that the model had not been shown; the thumb counts",
    "overruled": "a thumb up for an answer that the help desk corrected",
}
"""Why something is no row, besides the reasons of `finetune.curation.feedback`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows, oldest first, and what was left out: how often by reason, with an example each.

    `read` counts judgements and reviewed corrections; `masked` what was masked in questions, by kind.
    """

    lines: list[dict[str, Any]]
    judged: list[Judged]
    read: int
    left_out: Counter[str]
    examples: dict[str, str]
    masked: Counter[str]

    def data(self) -> bytes:
        """The file: a line for each row."""
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines).encode()


@dataclass(frozen=True, slots=True)
class Readiness:
    """How many rows there are, and what tuning on them wants more of, by method; empty where it may start."""

    rows: int
    up: int
    down: int
    corrected: int
    read: int
    left_out: Mapping[str, int]
    missing: Mapping[str, Sequence[str]]

    @property
    def method(self) -> Method | None:
        """The method that tuning would take; None where there are too few rows for any."""
        methods: tuple[Method, ...] = ("dpo", "kto")
        return next((one for one in methods if not self.missing[one]), None)


@dataclass(frozen=True, slots=True)
class _Raw:
    lines: list[dict[str, Any]]
    read: int
    left_out: Counter[str]
    examples: dict[str, str]


def training_rows(desk: Desk) -> Rows:
    """Everything that may be tuned on now.

    Raises:
        DeskmateError: the database or the index cannot be read.
    """
    raw = _gather(desk.database)
    shelf = library(desk)
    screened = screen([Label.model_validate(line) for line in raw.lines], desk.voice, shelf)
    kept = {judged.id: judged for judged in screened.labels}
    lines = [_masked(line, kept[line["id"]], shelf) for line in raw.lines if line["id"] in kept]
    return Rows(
        lines=lines,
        judged=screened.labels,
        read=raw.read,
        left_out=raw.left_out + screened.left_out,
        examples=raw.examples | screened.examples,
        masked=screened.masked,
    )


def keep_rows(rows: Rows, workspace: Path) -> Path:
    """Write rows where an adapter's card finds them again: the file is called by the hash that the card keeps.

    Raises:
        DeskmateError: there are none, or the disk refuses.
    """
    if not rows.lines:
        raise DeskmateError(
            "there is nothing to tune on yet: nobody judged an answer, or all was left out; deskmate feedback status "
            "says why"
        )
    data = rows.data()
    file = workspace / "feedback" / f"rows-{hashlib.sha256(data).hexdigest()[:16]}.jsonl"
    try:
        write_atomic(file, data)
    except OSError as error:
        raise explain_disk_error(error, "writing training rows") from error
    return file


def keep_answers(desk: Desk, file: Path) -> int:
    """Write reviewed corrections as questions and answers for `deskmate synth --include`; returns how many.

    Those that are no row (nobody had answered, or from other passages) are tuned on by way of these.

    Raises:
        DeskmateError: there are none, or the disk refuses.
    """
    lines = list(included_rows(Corrections(desk.database, Holdings(desk.searcher.open))))
    if not lines:
        raise DeskmateError("there is no reviewed correction that everybody may see; review some at /staff/corrections")
    try:
        write_atomic(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    except OSError as error:
        raise explain_disk_error(error, f"writing {file}") from error
    return len(lines)


def readiness(desk: Desk) -> Readiness:
    """How far it is until an adapter can be tuned on what people said."""
    rows = training_rows(desk)
    methods: tuple[Method, ...] = ("dpo", "kto")
    return Readiness(
        rows=len(rows.lines),
        up=sum(one.up for one in rows.judged),
        down=sum(not one.up for one in rows.judged),
        corrected=sum(bool(one.correction) for one in rows.judged),
        read=rows.read,
        left_out=dict(rows.left_out),
        missing={one: missing(one, usable(one, rows.judged), desk.settings.preference) for one in methods},
    )


class ReadinessCache:
    """`readiness`, computed anew only when something that it depends on has changed: it reads every chunk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: tuple[object, Readiness] | None = None

    def get(self) -> Readiness:
        """See `readiness`."""
        tables = (judgements, corrections)
        counts = [sa.select(sa.func.count(), sa.func.max(one.c.at)).select_from(one) for one in tables]
        reviewed = sa.select(sa.func.count()).where(corrections.c.state == "reviewed")
        with self._desk.database.reading() as connection:
            facts = [*(tuple(connection.execute(one).one()) for one in counts), connection.scalar(reviewed)]
        key = (self._desk.store.current_name(), facts)
        known = self._known
        if known is None or known[0] != key:
            self._known = known = (key, readiness(self._desk))
        return known[1]


def reason_text(reason: str) -> str:
    """Why something is no row, in words."""
    return OWN_REASONS.get(reason) or REASONS[reason]


def _gather(database: Database) -> _Raw:
    """Labels of judgements and of reviewed corrections, as they are."""
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}

    def leave_out(reason: str, row: str) -> None:
        left_out[reason] += 1
        examples.setdefault(reason, f"{row}: {OWN_REASONS[reason]}")

    with database.reading() as connection:
        reviewed = connection.execute(_reviewed()).all()
        judged = connection.execute(sa.select(judgements.c.id, judgements.c.exchange, judgements.c.verdict)).all()
    thumbs: dict[int, dict[str, int]] = {}
    for row in judged:
        thumbs.setdefault(row.exchange, {})[row.verdict] = row.id
    texts: dict[int, str] = {}
    more: list[dict[str, Any]] = []
    for row in reviewed:
        if row.exchange is None:
            leave_out("no-exchange", f"c{row.id}")
            continue
        if not row.record["answer"]["written"].strip() or row.record["stopped"]:
            leave_out("not-asked", f"c{row.id}")
            continue
        text = _renumbered(row.answer, row.citations, row.record)
        if text is None:
            leave_out("not-shown", f"c{row.id}")
        elif "down" in thumbs.get(row.exchange, {}):
            texts[row.exchange] = text
        else:
            more.append(_line(row, text))
    lines = list(labels(database, texts))
    for id_ in sorted({f"j{row.id}" for row in judged} - {line["id"] for line in lines}):
        leave_out("not-asked", id_)
    corrected = {row.exchange for row in reviewed}
    overruled = {f"j{ids['up']}" for exchange, ids in thumbs.items() if "up" in ids and exchange in corrected}
    for line in lines:
        if line["id"] in overruled:
            leave_out("overruled", line["id"])
    kept = [line for line in lines if line["id"] not in overruled]
    return _Raw([*kept, *more], len(judged) + len(reviewed), left_out, examples)


def _reviewed() -> sa.Select[Any]:
    """Reviewed corrections with the exchanges that they correct, the oldest first."""
    columns = (corrections.c.id, corrections.c.answer, corrections.c.citations, corrections.c.exchange)
    rests = (corrections.c.docs, corrections.c.access)
    query = sa.select(*columns, *rests, exchanges.c.question, exchanges.c.conversation, exchanges.c.record)
    joined = corrections.outerjoin(exchanges, corrections.c.exchange == exchanges.c.id)
    return query.select_from(joined).where(corrections.c.state == "reviewed").order_by(corrections.c.id)


def _renumbered(answer: str, citations: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> str | None:
    """A correction whose markers point at the passages that the model read; None where one of them was not among them.

    A correction cites documents by its own numbers. What the model had not been shown it must not learn to cite.
    """
    shown = {id_: number for number, id_ in enumerate(record["passages"] or (), start=1)}
    places = {
        hit["chunk"]["id"]: (hit["chunk"]["doc"], hit["chunk"]["start"], hit["chunk"]["end"])
        for hit in record["answer"]["hits"]
        if hit["chunk"]["id"] in shown
    }
    numbers: dict[int, int] = {}
    for cited in citations:
        within = [
            shown[id_]
            for id_, (doc, start, end) in places.items()
            if doc == cited["doc"] and start < cited["end"] and cited["start"] < end
        ]
        number = shown.get(cited["chunk_id"]) or (within[0] if within else None)
        if number is None:
            return None
        numbers[cited["n"]] = number
    return MARKER.sub(lambda match: _marker(match, numbers), answer)


def _marker(match: re.Match[str], numbers: Mapping[int, int]) -> str:
    old = [int(number) for number in re.findall(r"\d+", match[0])]
    new = "".join(f"[{number}]" for number in dict.fromkeys(numbers[one] for one in old if one in numbers))
    return new and f" {new}"


def _line(row: Any, text: str) -> dict[str, Any]:
    """A label of a correction whose answer nobody had judged; it rests on what both rest on."""
    return {
        "id": f"c{row.id}",
        "question": row.question,
        "history": row.record["history"],
        "passages": row.record["passages"],
        "answer": row.record["answer"]["written"],
        "verdict": "down",
        "correction": text,
        "conversation": hashlib.sha256(row.conversation.encode()).hexdigest()[:16],
        "docs": {**row.record["docs"], **row.docs},
        "access": [*row.record["access"], *row.access],
    }


def _masked(line: Mapping[str, Any], judged: Judged, shelf: Library) -> dict[str, Any]:
    """A row as it leaves the database: what people wrote is masked, and a correction that does not count is gone."""
    turns = [{**turn, "content": mask(turn["content"], shelf.published).text} for turn in line["history"]]
    question = mask(line["question"], shelf.published).text
    return {**line, "question": question, "history": turns, "correction": judged.correction}
