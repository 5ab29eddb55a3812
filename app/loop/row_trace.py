"""Where a training row comes from: the exchange (masked), what was said of it, and the documents then and now.

Reads what `app.chat.archive`, `app.chat.judgements` and `app.loop.corrections` keep.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from app.database import corrections, exchanges, judgements
from app.desk import Desk
from app.loop.prefer import library
from finetune.curation.feedback import Library
from finetune.curation.pii import mask
from ingest.errors import DeskmateError


def trace(desk: Desk, row: str) -> dict[str, Any]:
    """Where a row comes from: the exchange (masked), what was said of it, and the documents then and now.

    Texts that rest on documents which are not open to tuning are left out, as the rows themselves are.

    Args:
        desk: whose database and index.
        row: `j…` or `c…`, the id of a row.

    Raises:
        DeskmateError: there is no such judgement or correction; a conversation that was erased takes its rows along.
    """
    table = {"j": judgements, "c": corrections}.get(row[:1])
    number = int(row[1:]) if table is not None and row[1:].isdecimal() and len(row) < 12 else None
    with desk.database.reading() as connection:
        said = asked = correction = None
        if table is not None and number is not None:
            said = connection.execute(sa.select(table).where(table.c.id == number)).first()
        if said is not None:
            asked = connection.execute(sa.select(exchanges).where(exchanges.c.id == said.exchange)).first()
        if asked is not None:
            reviewed = (corrections.c.exchange == asked.id, corrections.c.state == "reviewed")
            correction = connection.execute(sa.select(corrections).where(*reviewed)).first()
    if said is None or asked is None:
        raise DeskmateError(
            f"there is no row {row!r}: rows are called j12 or c3, and one whose conversation was erased is gone"
        )
    shelf = library(desk)
    open_to_tuning = all(shelf.groups & set(groups) for groups in asked.record["access"])

    def shown(text: str) -> str | None:
        return mask(text, shelf.published).text if open_to_tuning else None

    return {
        "row": row,
        "exchange": asked.id,
        "conversation": hashlib.sha256(asked.conversation.encode()).hexdigest()[:16],
        "asked": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(asked.asked)),
        "mode": asked.mode,
        "adapter": asked.adapter,
        "generation": asked.generation,
        "question": shown(asked.question),
        "answer": shown(asked.record["answer"]["written"]),
        "verdict": said.verdict if row[0] == "j" else "down",
        "reason": said.reason if row[0] == "j" else "",
        "correction": _correction(correction, shown) if correction else None,
        "documents": _documents(asked.record["docs"], shelf),
    }


def _correction(row: sa.Row[Any], shown: Callable[[str], str | None]) -> dict[str, Any]:
    return {"id": row.id, "text": shown(row.answer), "author": row.author, "reviewer": row.reviewer}


def _documents(docs: Mapping[str, str], shelf: Library) -> list[dict[str, str]]:
    """The documents of an exchange in the version of then, and what has become of them."""
    now = {one.doc: one.sha256 for one in shelf.documents}
    return [
        {
            "doc": doc,
            "sha256": sha256,
            "today": "unchanged" if now.get(doc) == sha256 else "changed" if doc in now else "gone",
        }
        for doc, sha256 in docs.items()
    ]
