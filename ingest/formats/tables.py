"""Grids of cells into pieces: titles above the header, the header repeated in every row. Reads CSV, too."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.formats.pieces import Draft, Piece, join_cells
from ingest.normalise import one_line
from ingest.records import BlockKind

_NUMBER = re.compile(
    r"[-+(]?[€$£¥]?\s?[-+]?\d[\d.,' ]*\s?(?:%|[€$£¥]|[A-Z]{3})?\)?|\d{4}-\d\d-\d\d.*|\d{1,2}[./:-]\d{1,2}.*"
)
_NOISE = frozenset({"", "nan", "nat", "none", "null", "#n/a", "#ref!", "#value!", "#name?", "#div/0!"})
_DELIMITERS = ",;\t|"
LONGEST_SECTION = 60
"""Characters of a lone cell between rows that heads the rows below it; a longer one is a remark."""
LONGEST_COLUMN = 60
"""Characters of a column's name that is repeated in every row."""

Row = Sequence[str]


def read_csv(text: str) -> list[list[str]]:
    """Read separated values: the delimiter under which most rows have the same number of cells, at least two.

    Returns:
        Rows of cells; without any delimiter, rows of one cell.
    """
    lines = text.splitlines()
    if lines and (match := re.fullmatch(r"sep=(.)", lines[0].strip(), re.IGNORECASE)):  # Excel's own hint
        return _rows_of(text.split("\n", 1)[1] if "\n" in text else "", match[1])
    sample = "\n".join(lines[:200])
    best = max(_DELIMITERS, key=lambda delimiter: _regularity(_rows_of(sample, delimiter)))
    return _rows_of(text, best)


def _rows_of(text: str, delimiter: str) -> list[list[str]]:
    # A field may be long; the limit of the csv module is for its own buffer and the whole text is in memory anyway.
    csv.field_size_limit(max(len(text) + 1, 131072))
    return list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True, strict=False))


def _regularity(rows: list[list[str]]) -> float:
    """How table-like rows are: the share of rows as wide as most, weighted by that width."""
    widths = Counter(len(row) for row in rows if any(row))
    if not widths:
        return 0.0
    width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
    return 0.0 if width < 2 else count / widths.total() + min(width, 20) / 100


def is_csv(text: str) -> bool:
    """Whether text that is called CSV has rows of several cells."""
    return _regularity(read_csv("\n".join(text.splitlines()[:50]))) > 0.3


def draft_csv(text: str) -> Draft:
    """Find the pieces of separated values."""
    return Draft("", list(grid_pieces(read_csv(text))))


@dataclass(frozen=True, slots=True)
class Bold:
    """Rows of a sheet, by index, in which all cells are bold (headers), or only the first (labels with values)."""

    headers: frozenset[int] = frozenset()
    labels: frozenset[int] = frozenset()


def grid_pieces(grid: Sequence[Row], level: int = 2, bold: Bold | None = None) -> Iterator[Piece]:
    """Turn the cells of a sheet into text.

    Every row of data becomes "column: value | column: value", so that it says what it means without the header. Blank
    rows part tables; a lone cell above a table is its title, one between rows heads those below, one at the end is a
    remark. Two columns without a header are labels and values.

    Args:
        grid: rows of cells as text; ragged rows are fine.
        level: the level of headings that stand for lone cells.
        bold: what the sheet's fonts tell, if it has any.
    """
    bold = bold or Bold()
    rows = [_tidy(row) for row in grid]
    header: list[str] = []
    start = 0
    while start < len(rows):
        if not any(rows[start]):
            start += 1
            continue
        end = start
        while end < len(rows) and any(rows[end]):
            end += 1
        here = Bold(
            *(frozenset(at - start for at in kind if start <= at < end) for kind in (bold.headers, bold.labels))
        )
        region = _Region(rows[start:end], header, level, here, any(map(any, rows[end:])))
        yield from region.pieces()
        header = region.header
        start = end


def _tidy(row: Row) -> list[str]:
    """Cells on one line each, without the noise that exports leave where there is nothing."""
    cells = [one_line(cell) for cell in row]
    cells = [
        "" if cell.casefold() in _NOISE or re.fullmatch(r"Unnamed: ?\d+(?:_level_\d+)?", cell) else cell
        for cell in cells
    ]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _filled(row: Row) -> list[str]:
    return [cell for cell in row if cell]


class _Region:
    """Rows without a blank one among them; `followed` by more of them, or not.

    `header` is in force, taken over from above until there is another.
    """

    def __init__(self, rows: list[list[str]], header: list[str], level: int, bold: Bold, followed: bool) -> None:
        width = max(map(len, rows))
        self.header = header if 2 < len(header) >= width > 2 else []
        self._rows = rows
        self._level = level
        self._bold = bold
        self._followed = followed

    def pieces(self) -> Iterator[Piece]:
        """Titles, then the table, with section headings in between."""
        rows = self._rows
        table = any(len(_filled(row)) > 1 for row in rows)
        at = 0
        while at < len(rows) and len(_filled(rows[at])) == 1 and not (self.header and len(rows) == 1):
            text = _filled(rows[at])[0]
            above = table or (at == 0 and self._followed)
            titled = above and len(text) <= LONGEST_SECTION and text[-1] not in ".;,"
            yield Piece(BlockKind.HEADING if titled else BlockKind.PARAGRAPH, text, self._level if titled else 0)
            at += 1
        if at == len(rows):
            return
        if self._is_paired(at):
            yield Piece(BlockKind.TABLE, "\n".join(map(_pair, rows[at:])))
            return
        at += self._take_header(at)
        yield from self._table(rows[at:])

    def _is_paired(self, at: int) -> bool:
        """Whether the rows from `at` on are labels with values."""
        rows = self._rows[at:]
        if at in self._bold.headers:
            return False
        several = [index for index in range(at, len(self._rows)) if len(_filled(self._rows[index])) > 1]
        if several and self._bold.labels.issuperset(several):
            return True
        if sum(row[0].endswith(":") for row in rows) > len(rows) / 2:
            return True
        return max(map(len, rows)) == 2 and not _heads_two(rows)

    def _take_header(self, at: int) -> int:
        """Find the header of the rows from `at` on; the number of rows that it takes."""
        rows = self._rows[at:]
        first = rows[0]
        certain = at in self._bold.headers and len(rows) > 1
        if not certain and (len(rows) == 1 or not _is_header(first)):  # nothing below that a lone row could head
            return 0
        repeated = max(Counter(_filled(first)).values()) > 1 or any(not cell for cell in first[1:])
        below = len(rows) > 2 and _is_header(rows[1]) and not any(map(_is_value, rows[1])) and len(rows[1]) > 2
        if repeated and below and (at + 1 in self._bold.headers or _goes_on(rows)):
            self.header = _two_rows(first, rows[1])
            return 2
        self.header = first
        return 1

    def _table(self, rows: list[list[str]]) -> Iterator[Piece]:
        lines: list[str] = []
        for at, row in enumerate(rows):
            filled = _filled(row)
            if len(filled) == 1 and len(self.header) > 1 and (len(filled[0]) <= LONGEST_SECTION or at == len(rows) - 1):
                if lines:
                    yield Piece(BlockKind.TABLE, "\n".join(lines))
                    lines = []
                heads = at + 1 < len(rows) and len(_filled(rows[at + 1])) > 1 and row[0] != ""
                yield Piece(
                    BlockKind.HEADING if heads else BlockKind.PARAGRAPH, filled[0], self._level + 1 if heads else 0
                )
            elif line := self._line(row):
                lines.append(line)
        if lines:
            yield Piece(BlockKind.TABLE, "\n".join(lines))

    def _line(self, row: list[str]) -> str:
        """A row that can be read alone."""
        if not self.header:
            return join_cells(row)
        cells = []
        for at, cell in enumerate(row):
            name = self.header[at].rstrip(": ") if at < len(self.header) else ""
            if cell:
                cells.append(f"{name}: {cell}" if name and len(name) <= LONGEST_COLUMN else cell)
        return " | ".join(cells)


def _is_value(cell: str) -> bool:
    """Whether a cell is a number, an amount or a date: no name of a column, unless it is a bare year."""
    return bool(_NUMBER.fullmatch(cell)) and not re.fullmatch(r"(?:19|20)\d\d", cell)


def _is_header(row: list[str]) -> bool:
    """Whether a row can name columns: at least two words, hardly any numbers, no long texts."""
    filled = _filled(row)
    if len(filled) < 2 or any(len(cell) > 120 for cell in filled):
        return False
    return sum(map(_is_value, filled)) <= len(filled) // 4


def _goes_on(rows: list[list[str]]) -> bool:
    """Whether the rows below the first two are data: some column turns from words to values."""
    return any(_is_value(cell) for row in rows[2:5] for cell in row)


def _two_rows(upper: list[str], lower: list[str]) -> list[str]:
    """One header of two: a group's name goes before the names below it."""
    names = []
    group = ""
    for at in range(max(len(upper), len(lower))):
        above = upper[at] if at < len(upper) else ""
        below = lower[at] if at < len(lower) else ""
        group = above or group
        names.append(below if not group or below == group else f"{group} {below}".strip())
    return names


def _heads_two(rows: list[list[str]]) -> bool:
    """Whether the first of several rows of two cells heads them: short words over longer texts or over values."""
    if len(rows) < 3 or not _is_header(rows[0]) or any(len(cell) > 30 or re.search(r"\d", cell) for cell in rows[0]):
        return False
    values = [row[1] for row in rows[1:] if len(row) > 1 and row[1]]
    longer = sum(map(len, values)) >= 2.5 * len(rows[0][1]) * max(len(values), 1)
    return longer or sum(map(_is_value, values)) > len(values) / 2


def _pair(row: list[str]) -> str:
    """A label and its values on one line; a number before a text counts it."""
    label, values = row[0].rstrip(": "), join_cells(_filled(row[1:]))
    if not label or not values:
        return label or values
    return f"{label}. {values}" if re.fullmatch(r"\d{1,3}\.?", label) else f"{label}: {values}"
