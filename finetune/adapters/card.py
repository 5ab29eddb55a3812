"""What an adapter says of itself: its base, its data, who may be served by it, and the hash of every file. Plain data.

Knows nothing of tensors. The card's own checksum and the hashes in it are compared before anything parses a weight.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ingest.errors import DeskmateError
from ingest.records import EVERYONE

CARD, CONFIG, WEIGHTS = "card.json", "adapter_config.json", "adapter_model.safetensors"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class FileFact:
    """What a file was when it was published."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Card:
    """An adapter's card. Training fills in the first part, publishing the second.

    `base_identity` is `finetune.adapters.adapter.identity` of the base it was tuned on. `documents` are the training
    documents with the SHA-256 of their files as the index knew them. `access` has for each of them the groups that may
    read it (each combination once): whoever is served must be in one of each.
    """

    base: str
    base_identity: str
    data_hash: str
    prompt_hash: str
    documents: dict[str, str]
    access: tuple[tuple[str, ...], ...]
    settings: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)

    name: str = ""
    version: int = 0
    created: str = ""
    files: dict[str, FileFact] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Adapter:
    """A published adapter: where it lies and what its card says. `checksum` tells it from every other."""

    folder: Path
    card: Card
    checksum: str

    @property
    def id(self) -> str:
        """How answers, reports and servers call it."""
        return f"{self.card.name}/v{self.card.version}"

    def read(self, name: str) -> bytes:
        """The bytes of one of its files: exactly those that were compared with the card.

        Raises:
            DeskmateError: the file is missing or has other bytes.
        """
        fact = self.card.files[name]
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise self.damaged(f"{name} cannot be read: {error.strerror}") from error
        if len(data) != fact.size or hashlib.sha256(data).hexdigest() != fact.sha256:
            raise self.damaged(f"{name} was changed since it was published")
        return data

    def damaged(self, why: str) -> DeskmateError:
        """The error for an adapter that cannot be trusted."""
        return DeskmateError(
            f"the adapter {self.id} in {self.folder} cannot be used: {why}; promote another version, "
            "or run deskmate adapters rollback, or tune again"
        )

    def cleared(self, groups: Iterable[str], labels: Iterable[Iterable[str]] = ()) -> bool:
        """Whether an asker may be served: cleared for all its labels, and for `labels`, those of the documents today.

        What was tuned on a document can tell of it past every access rule, so one forbidden document is enough.
        """
        mine = {*groups, EVERYONE}
        return all(mine & set(label) for label in (*self.card.access, *labels))


@dataclass(frozen=True, slots=True)
class Staleness:
    """Training documents that are not what they were: `changed` in the index, or `gone` from it."""

    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)

    def __str__(self) -> str:
        parts = [f"{len(names)} {what}" for names, what in ((self.changed, "changed"), (self.gone, "gone")) if names]
        return f"stale: {' and '.join(parts)} of its training documents" if parts else ""


def staleness(card: Card, current: Mapping[str, Iterable[str]]) -> Staleness:
    """Compare the training documents with those of an index.

    Args:
        card: of the adapter.
        current: SHA-256 of the files in the index, by document name; several where several folders have that name.
            A document that only moved counts as there.
    """
    hashes = {sha256 for found in current.values() for sha256 in found}
    other = [doc for doc, sha256 in card.documents.items() if sha256 not in hashes]
    return Staleness(
        changed=tuple(sorted(doc for doc in other if doc in current)),
        gone=tuple(sorted(doc for doc in other if doc not in current)),
    )


def write_card(folder: Path, card: Card) -> None:
    """Write the card of a folder that is being made."""
    data = asdict(card)
    text = json.dumps({**data, "checksum": checksum(data)}, indent=1, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", "utf-8")


def open_adapter(folder: Path) -> Adapter:
    """Read the card of an adapter's folder. Its files are checked as they are read.

    Raises:
        DeskmateError: there is no adapter of ours, it holds pickles, or its card was changed.
    """
    if not (folder / CARD).is_file():
        raise DeskmateError(f"{folder} is no adapter: it has no {CARD}; name a version made by deskmate tune")
    try:
        data = json.loads((folder / CARD).read_text("utf-8"))
        if data.get("format") != FORMAT:
            raise ValueError(f"it has format {data.get('format')}, this deskmate reads format {FORMAT}")
        digest = data.pop("checksum", None)
        if digest != checksum(data):
            raise ValueError("it was changed since it was published")
        card = _CARD.validate_python(data)
    except (OSError, ValueError, AttributeError) as error:  # ValidationError is a ValueError
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise DeskmateError(f"the card {folder / CARD} cannot be used: {why}; promote another version") from error
    adapter = Adapter(folder, card, digest)
    for name in (CONFIG, WEIGHTS):
        if name not in card.files:
            raise adapter.damaged(f"its card lists no {name}")
    if not (folder / WEIGHTS).exists() and (pickles := sorted(folder.glob("*.bin"))):
        raise adapter.damaged(f"{pickles[0].name} is a pickle, which can run code; deskmate loads safetensors only")
    return adapter


def checksum(data: dict[str, Any]) -> str:
    """SHA-256 of a card's fields."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


_CARD = TypeAdapter(Card)
