"""`deskmate tune --from-feedback`, step by step: labels, the gate, the served adapter tuned further, its next version.

Composes the rooms; what is preferred to what is the business of `finetune`.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.desk import Desk
from finetune.adapters.card import Adapter, Card
from finetune.adapters.tuned_on import read_tuned_on, write_tuned_on
from finetune.curation.card import prompt_sha256
from finetune.curation.feedback import Judged, Library, Screened, read_feedback, screen
from finetune.curation.pii import published
from finetune.model import load_base, pick_base
from finetune.prompt import CLOSE, render_prompt
from finetune.training.prefer import prefer
from finetune.training.preference import Method, Split, pick_method, split
from finetune.voice import Voice
from ingest.errors import DeskmateError
from ingest.records import EVERYONE
from ingest.workspace import explain_disk_error
from retrieval.build import Progress


@dataclass(frozen=True, slots=True)
class PreferOptions:
    """How one run goes; the adapter keeps its name unless another is given."""

    method: Method | Literal["auto"] = "auto"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Preferred:
    """What a run published, from what, and what became of the labels. The card has the figures."""

    adapter: Adapter
    start: str
    method: Method
    screened: Screened


def run_preference(desk: Desk, file: Path, options: PreferOptions, progress: Progress) -> Preferred:
    """Tune the served adapter on feedback, and publish it as a new version if it follows held-out labels better.

    Everything that can be wrong with the labels is found before a weight loads. Nothing is promoted.

    Args:
        desk: whose served adapter, index and voice are used.
        file: labels as JSON lines, see docs/feedback.md.
        options: how.
        progress: told of the stages `measure` (labels) and `prefer` (steps).

    Raises:
        DeskmateError: no adapter serves, a line is no label, there are too few, the result is not better, or the disk
            refuses; nothing is then published.
    """
    start = desk.serving.adapter()
    if start is None:
        raise DeskmateError(
            "no adapter serves, and tuning on feedback starts from the one that does; run deskmate tune, then deskmate "
            "adapters promote NAME"
        )
    settings = desk.settings.preference
    screened = screen(read_feedback(file), desk.voice, library(desk))
    method = pick_method(options.method, screened.labels, settings)
    parts = split(method, screened.labels, settings)
    base = load_base(pick_base(desk.settings.model), desk.settings.models_folder)
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = prefer(base, start, parts, settings, Path(folder, "adapter"), progress)
            if (known := read_tuned_on(start)) is not None:  # else nobody knows what it saw, and nobody will
                write_tuned_on(result.folder, [*known, *_questions(screened.labels, desk.voice)])
            counts = {"left_out": dict(screened.left_out), "masked": dict(screened.masked)}
            card = _card(desk, start, file, parts, result.figures | counts)
            adapter = desk.registry.publish(options.name or start.card.name, result.folder, card)
    except OSError as error:
        raise explain_disk_error(error, "tuning on feedback") from error
    return Preferred(adapter, start.id, method, screened)


def _questions(labels: Iterable[Judged], voice: Voice) -> list[str]:
    """What was asked in the labels: the end of the last turn, after the passages and the instructions."""
    heads = [render_prompt("", shown, voice)[-1]["content"].strip() for shown in ((), None)]
    asked = [label.prompt[-1]["content"].rpartition(CLOSE)[2].strip() for label in labels]
    return [text.removeprefix(heads[0]).removeprefix(heads[1]).strip() for text in asked]


def library(desk: Desk) -> Library:
    """What the index holds today."""
    table = desk.searcher.open().table
    chunks = {chunk.id: chunk for chunk in table.all_chunks()}
    groups = frozenset(desk.settings.curate.groups) | {EVERYONE}
    return Library(tuple(table.known().values()), chunks.get, groups, published(chunks.values()))


def _card(desk: Desk, start: Adapter, file: Path, parts: Split, scores: dict[str, Any]) -> Card:
    """The card of what was tuned: it knows what its start knew, and what the labels quote.

    Where both quote a document, the start's version counts: an adapter that was stale stays so.
    """
    labels = [*parts.train, *parts.held_out]
    documents = {doc: sha256 for label in labels for doc, sha256 in label.docs.items()} | start.card.documents
    access = {*start.card.access} | {tuple(sorted(groups)) for label in labels for groups in label.access}
    settings = desk.settings.preference.model_dump(mode="json")
    return Card(
        base=start.card.base,
        base_identity=start.card.base_identity,
        data_hash=hashlib.sha256(file.read_bytes()).hexdigest(),
        prompt_hash=prompt_sha256(desk.voice),
        documents=documents,
        access=tuple(sorted(access)),
        settings={"from": start.id, "from_checksum": start.checksum, **settings},
        scores=scores,
    )
