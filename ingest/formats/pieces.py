"""From the pieces a parser finds to one document: text, blocks and their offsets. Knows no file format."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from ingest.errors import DeskmateError
from ingest.normalise import normalise, one_line
from ingest.records import Block, BlockKind, Parsed
from ingest.settings import IngestSettings

LONGEST_TITLE = 200
"""Characters of a title; longer ones are cut at a word."""
LONGEST_BOLD_HEADING = 80
"""Characters of a bold line that stands for a heading."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A heading, paragraph, list, table or code listing as a parser found it, in reading order.

    `text` need not be normalised. Lines are kept, so a parser joins the lines of flowing text itself.
    `level` is 1 to 6 for a heading, else 0; `page` is the 1-based page or slide.
    """

    kind: BlockKind
    text: str
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What the parser of a format gives: pieces, and the title if the format has one ("" if not)."""

    title: str
    pieces: Iterable[Piece]


def assemble(draft: Draft, name: str, settings: IngestSettings) -> Parsed:
    """Normalise the pieces and lay them out as one text, a blank line between two blocks.

    The title is the draft's own, else the top heading, else one that everything stands below, else the file's name.

    Args:
        draft: what a parser found; its pieces may be a generator.
        name: the file's name, for a document without a title.
        settings: `max_text_mb` bounds the text.

    Raises:
        DeskmateError: the document holds no text, or too much of it.
    """
    limit = int(settings.max_text_mb * 2**20)
    texts: list[str] = []
    blocks: list[Block] = []
    start = size = 0
    for piece in draft.pieces:
        heading = piece.kind is BlockKind.HEADING
        text = one_line(piece.text) if heading else normalise(piece.text).strip()
        if not text:
            continue
        size += len(text.encode()) + 2
        if size > limit:
            raise DeskmateError(f"its text is longer than {settings.max_text_mb:g} MiB (max_text_mb); split the file")
        blocks.append(Block(piece.kind, start, start + len(text), piece.level if heading else 0, piece.page))
        texts.append(text)
        start += len(text) + 2
    if not texts:
        raise DeskmateError("it holds no text")
    return Parsed(_title(draft.title, blocks, texts, name), "\n\n".join(texts), tuple(blocks))


def _title(given: str, blocks: list[Block], texts: list[str], name: str) -> str:
    """The best title there is, on one line."""
    top = next((text for block, text in zip(blocks, texts, strict=True) if block.level == 1), "")
    if not top and blocks[0].level:
        top = texts[0]
    return shorten(one_line(given) or top) or title_from_name(name)


def shorten(text: str) -> str:
    """Cut a title that is too long at a word."""
    if len(text) <= LONGEST_TITLE:
        return text
    return text[: LONGEST_TITLE - 3].rsplit(" ", 1)[0] + "..."


def title_from_name(name: str) -> str:
    """Make a title of a file's name: `annual-leave_2025.md` is "Annual leave 2025"."""
    words = one_line(PurePath(name).stem.replace("-", " ").replace("_", " "))
    return words[:1].upper() + words[1:] if words else name


def acts_as_heading(bold: str) -> bool:
    """Whether a bold line that stands alone is a heading in all but name: short, and no sentence."""
    return 0 < len(bold) <= LONGEST_BOLD_HEADING and bold[-1] not in ".!,;:"


def join_cells(cells: Iterable[str]) -> str:
    """One row of a table on one line: cells joined by " | ", empty ones at the end left out."""
    texts = [one_line(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return " | ".join(texts)
