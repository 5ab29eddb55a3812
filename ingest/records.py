"""What ingestion passes on: documents, chunks and quarantined files. Plain frozen data, no behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum

EVERYONE = "everyone"
"""The access group that every asker is in."""


PARSERS = 2
"""Version of what parsers and chunking make of a file. Raise it when they change, and every document is read anew."""


class BlockKind(StrEnum):
    """What a block of a document is, as far as chunking cares."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    TABLE = "table"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of a document's text that should stay together: `text[start:end]`.

    `level` is 1 to 6 for a heading and 0 otherwise; `page` is the 1-based page of a paged format.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser makes of one file: its title, normalised text and the blocks in reading order.

    Blocks do not overlap, are ordered by `start`, and cover all of the text but white space.
    """

    title: str
    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `document.text[start:end] == text`.

    `id` is stable: it depends on the document's path and the chunk's own text, not on its neighbours.
    `heading` is the trail of headings above the chunk, joined by " › ".
    """

    id: str
    doc: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    access: frozenset[str] = field(default_factory=lambda: frozenset({EVERYONE}))

    @property
    def embedded_text(self) -> str:
        """What is embedded and indexed: the chunk under its title and heading trail."""
        return embedded_text(self.title, self.heading, self.text)


def embedded_text(title: str, heading: str, text: str) -> str:
    """Join title, heading trail and text as they are embedded; a heading that repeats the title is left out."""
    head = title if not heading else heading if heading.startswith(title) else f"{title} › {heading}"
    return f"{head}\n{text}" if head else text
