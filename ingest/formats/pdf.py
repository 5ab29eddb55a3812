"""PDF files into pieces, each with its page: text as it flows, headings by size and weight, no running heads."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.errors import DeskmateError
from ingest.formats.pdf_layout import (
    SENTENCE_END,
    Blob,
    Hyphens,
    Measures,
    Row,
    as_tables,
    join_lines,
    measure,
    rows,
    without_leaders,
)
from ingest.formats.pdf_lines import Page, Run, read_pages
from ingest.formats.pieces import Draft, Piece, join_cells
from ingest.records import BlockKind
from ingest.settings import IngestSettings

_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|p\.?|pg\.?|seite|página|pagina|side|sida|strona)\s*)?\d{1,4}(?:\s*(?:of|/|von|de|van|sur|av|z|-)\s*\d{1,4})?\W*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"([•◦▪●○■□‣·*–—-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(?=\S)")
_BULLET_SIGN = re.compile(r"[•◦▪●○■□‣·*–—-]\s")
_NUMBERED_HEADING = re.compile(
    r"(?:(?:\d{1,2}\.)+\d{0,2}|\d{1,2}(?:\.\d{1,2})+|(?:Section|Chapter|Annex|Appendix|Article)\s+\w{1,3}[.:]?)\s+\S"
)
_LEADERS = re.compile(r"(?:\.{4,}|(?:\. ){4,})\s*\w{0,6}$")
_BAD_TITLE = re.compile(
    r"untitled.*|microsoft (?:word|powerpoint|excel) - .*|\(?(?:anonymous|unspecified)\)?|document\d*|slide \d+"
    r"|.*\.(?:docx?|pptx?|xlsx?|pdf|html?|indd|tmp|rtf)",
    re.IGNORECASE,
)
LONGEST_HEADING = 140
"""Characters of a heading."""
LARGER = 1.08
"""How much larger than the text a heading's size is, at least."""
EDGE_LINES = 3
"""Lines at the top and at the bottom of a page that may be running heads."""


def draft_pdf(data: bytes, settings: IngestSettings) -> Draft:
    """Find the pieces of a PDF, with 1-based pages.

    Args:
        data: the file.
        settings: `max_pages`.

    Raises:
        DeskmateError: damaged, password-protected, too many pages, or no text on any page.
    """
    document = read_pages(data, settings)
    if not any(run.text.strip() for page in document.pages for run in page.runs):
        raise DeskmateError("its pages hold pictures but no text (a scan?); run text recognition (OCR) on it first")
    pages = _without_contents(_without_running_heads(document.pages))
    writer = _Writer(pages)
    pieces = list(_join_across_pages(_number_lists(writer.pieces())))
    return Draft(_title(document.title, pieces), pieces)


def _without_running_heads(pages: Sequence[Page]) -> tuple[Page, ...]:
    """Drop lines at the edges that come again at the same height on many pages, digits aside, and page numbers."""
    edges = [_edge_runs(page) for page in pages]
    seen = Counter(key for page, runs in zip(pages, edges, strict=True) for key in {_fold(run) for run in runs})
    enough = max(2, round(0.4 * len(pages)))
    kept = []
    for page, runs in zip(pages, edges, strict=True):
        dropped = {id(run) for run in runs if seen[_fold(run)] >= enough or _is_page_number(run, page)}
        kept.append(replace(page, runs=tuple(run for run in page.runs if id(run) not in dropped)))
    return tuple(kept)


def _edge_runs(page: Page) -> list[Run]:
    """The runs on the first and last lines of a page that lie in its outer fifths."""
    heights = sorted({round(run.bottom) for run in page.runs})
    outer = {*heights[:EDGE_LINES], *heights[-EDGE_LINES:]}
    return [
        run
        for run in page.runs
        if round(run.bottom) in outer and not 0.2 * page.height < run.bottom < 0.8 * page.height
    ]


def _fold(run: Run) -> tuple[str, int]:
    return re.sub(r"\d+|\b[ivxl]+\b", "#", run.text), round(run.bottom / 3)


def _is_page_number(run: Run, page: Page) -> bool:
    outside = not 0.1 * page.height < run.bottom < 0.9 * page.height
    return outside and _PAGE_NUMBER.fullmatch(run.text) is not None


def _without_contents(pages: Sequence[Page]) -> tuple[Page, ...]:
    """Drop tables of contents: lines that lead to a page number by dots, three or more of them on a page."""
    kept = []
    for page in pages:
        led = {round(run.bottom) for run in page.runs if _LEADERS.search(run.text)}
        if len(led) >= 3:
            page = replace(page, runs=tuple(run for run in page.runs if round(run.bottom) not in led))
        kept.append(replace(page, runs=tuple(map(without_leaders, page.runs))))
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class _Style:
    """What sets headings of one level apart."""

    size: float
    bold: bool


class _Writer:
    """Writes a document's pages as pieces; knows what is usual in it."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.measures: Measures = measure(pages)
        self._layout = [(page, rows(page, self.measures)) for page in pages]
        self._hyphens = Hyphens.of(pages)
        runs = [run for page in pages for run in page.runs]
        self._all_bold = sum(len(run.text) for run in runs if run.bold) > 0.5 * sum(len(run.text) for run in runs)
        self._seen = Counter(
            _style(row[0]) for _, layout in self._layout for row in layout if len(row) == 1 and self._stands_out(row[0])
        )
        # The styles of headings, from the top level down: by size, bold before plain.
        self._styles = sorted(self._seen, key=lambda style: (-style.size, not style.bold))

    def pieces(self) -> Iterator[Piece]:
        """All pieces, page by page."""
        for page, layout in self._layout:
            at = 0
            while at < len(layout):
                end = at
                while end < len(layout) and len(layout[end]) > 1:
                    end += 1
                if end > at:
                    yield from self._tables(layout[at:end], page.number)
                    at = end
                    continue
                yield from self._blob(layout[at][0], layout[at + 1 : at + 2], page.number)
                at += 1

    def _tables(self, layout: Sequence[Row], page: int) -> Iterator[Piece]:
        """Rows of cells, as many tables as they are; a single row is a line whose parts stand apart."""
        for table in as_tables(layout):
            lines = [join_cells(join_lines(cell.runs, self._hyphens) if cell else "" for cell in row) for row in table]
            yield Piece(BlockKind.TABLE if len(lines) > 1 else BlockKind.PARAGRAPH, "\n".join(lines), 0, page)

    def _blob(self, blob: Blob, after: Sequence[Row], page: int) -> Iterator[Piece]:
        """A heading, or paragraphs and list items."""
        text = join_lines(blob.runs, self._hyphens)
        if level := self._heading_level(blob, text, after):
            yield Piece(BlockKind.HEADING, text, level, page)
            return
        items: list[str] = []
        for runs in _split(blob):
            text = join_lines(runs, self._hyphens)
            match = _BULLET.match(text)
            if match:
                marker = match[1] if match[1][-1] in ".)" else "-"
                items.append(f"{marker} {text[match.end() :]}")
                continue
            if items:
                yield Piece(BlockKind.LIST, "\n".join(items), 0, page)
                items = []
            yield Piece(BlockKind.PARAGRAPH, text, 0, page)
        if items:
            yield Piece(BlockKind.LIST, "\n".join(items), 0, page)

    def _heading_level(self, blob: Blob, text: str, after: Sequence[Row]) -> int:
        """The level of a heading; 0 for any other text."""
        # A bold sentence is a heading only among others that are none ("I lost a receipt." in a list of questions).
        sentence = blob.bold and text.endswith(".") and len(blob.runs) == 1 and len(text) <= 80
        if self._stands_out(blob) or (sentence and self._seen[_style(blob)] > 1):
            return min(self._styles.index(_style(blob)) + 1, 6)
        short = len(blob.runs) == 1 and len(text) <= 80 and text[-1:] not in ".,;:"
        if not short or not text[:1].isalnum():
            return 0
        following = after[0][0].runs[0].text if after else ""
        lowest = min(len(self._styles) + 1, 6)
        letters = [letter for letter in text if letter.isalpha()]
        if len(letters) >= 4 and text.isupper():
            return lowest
        match = _NUMBERED_HEADING.match(text)
        if match and text[match.end() - 1].isupper() and not _BULLET.match(following):
            return min(lowest + match[0].strip().rstrip(".").count("."), 6)
        return 0

    def _stands_out(self, blob: Blob) -> bool:
        """Whether a blob is set as a heading: larger than the text, or bold and short."""
        text = " ".join(run.text for run in blob.runs)
        if len(text) > LONGEST_HEADING or len(blob.runs) > 3 or not any(letter.isalpha() for letter in text):
            return False
        if blob.size >= LARGER * self.measures.size:
            return not (text.endswith(".") and len(blob.runs) > 1)
        plain = text[-1] not in ".,;" and blob.size >= 0.9 * self.measures.size and len(blob.runs) <= 2
        return blob.bold and not self._all_bold and plain and _BULLET_SIGN.match(text) is None


def _style(blob: Blob) -> _Style:
    return _Style(round(blob.size), blob.bold)


def _split(blob: Blob) -> Iterator[list[Run]]:
    """Part a blob into paragraphs and items: at bullets, at indented first lines, after short last lines."""
    right, left = blob.right, blob.left
    width = right - left
    runs: list[Run] = []
    for run in blob.runs:
        if runs:
            last = runs[-1]
            indented = (
                run.left > left + 0.8 * run.size and abs(last.left - left) < 2 and _BULLET.match(runs[0].text) is None
            )
            ended = last.text.endswith(SENTENCE_END) and last.right < right - 0.15 * width and len(blob.runs) > 2
            item = _BULLET.match(run.text) and (run.text[0] in "•◦▪●○■□‣·" or run.left <= runs[0].left + 1)
            if item and _BULLET.match(runs[0].text) is None and run.text[0] not in "•◦▪●○■□‣·":
                item = ended or last.text.endswith(":")  # "see\n3. above" is no item
            if item or (indented and last.text.endswith(SENTENCE_END)) or (ended and run.text[:1].isupper()):
                yield runs
                runs = []
        runs.append(run)
    yield runs


def _number_lists(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Make lists of items that follow each other, and of paragraphs "1 ...", "2 ..." that count up from one."""
    waiting: Piece | None = None
    for piece in pieces:
        if piece.kind is BlockKind.PARAGRAPH and (match := re.match(r"(\d{1,2}) (?=[A-Z])", piece.text)):
            number = int(match[1])
            last = re.match(r"(\d{1,2})\. ", waiting.text.split("\n")[-1]) if waiting else None
            if number == 1 or (last and int(last[1]) == number - 1):
                piece = replace(piece, kind=BlockKind.LIST, text=f"{number}. {piece.text[match.end() :]}")
        if waiting and piece.kind is BlockKind.LIST and piece.page == waiting.page:
            waiting = replace(waiting, text=f"{waiting.text}\n{piece.text}")
            continue
        if waiting:
            yield waiting
        waiting = piece if piece.kind is BlockKind.LIST else None
        if waiting is None:
            yield piece
    if waiting:
        yield waiting


def _join_across_pages(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Join a paragraph that goes on over the page; it stays with the page where it begins."""
    last: Piece | None = None
    for piece in pieces:
        goes_on = (
            last is not None
            and last.page != piece.page
            and piece.kind is BlockKind.PARAGRAPH
            and last.kind in {BlockKind.PARAGRAPH, BlockKind.LIST}
            and not last.text.endswith(SENTENCE_END)
            and piece.text[:1].islower()
            and " | " not in last.text + piece.text
        )
        if goes_on and last is not None:
            last = replace(last, text=f"{last.text} {piece.text}")
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _title(given: str, pieces: Sequence[Piece]) -> str:
    """The title in the properties if the first page says the same, else the largest heading there, else the former."""
    given = "" if _BAD_TITLE.fullmatch(given.strip()) else " ".join(given.split())
    first = [piece for piece in pieces if piece.page == pieces[0].page]
    if given and given.casefold() in " ".join(" ".join(piece.text.split()) for piece in first).casefold():
        return given
    headings = [piece for piece in first if piece.level]
    if headings and min(piece.level for piece in headings) == 1:
        return next(piece.text for piece in headings if piece.level == 1)
    return given
