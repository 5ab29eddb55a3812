"""Excel workbooks into pieces, by openpyxl, the library below MarkItDown.

MarkItDown takes the first row of a sheet for its header, whatever it is, and gives values without their number format.
"""

import datetime
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from ingest.errors import DeskmateError
from ingest.formats.pieces import Draft, Piece, title_from_name
from ingest.formats.tables import Bold, grid_pieces
from ingest.records import BlockKind

_ERRORS = (InvalidFileException, KeyError, ValueError, TypeError, AttributeError, IndexError, SyntaxError)
"""What openpyxl raises for a damaged workbook (SyntaxError is the base of lxml's and ElementTree's parse errors)."""
LARGE = 5 * 2**20
"""Bytes of a workbook above which it is read row by row: without merged cells, in a tenth of the memory."""
_PLAIN_NAME = re.compile(r"(?:Sheet|Tabelle|Feuil|Hoja|Foglio|Blad|Planilha|Arkusz|Лист)\s?\d*", re.IGNORECASE)
_CURRENCY = re.compile(r"[€$£¥₹]")


def draft_xlsx(data: bytes, name: str) -> Draft:
    """Find the pieces of a workbook: the name of each visible sheet as a heading, each row with its columns' names.

    Args:
        data: the file, which `ingest.formats.zipped.check_zip` let through.
        name: the file's name, the title of a workbook that has no other: its first sheet's name is not.

    Raises:
        DeskmateError: the workbook is damaged.
    """
    large = len(data) > LARGE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # openpyxl warns of extensions and styles it does not know
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=large, data_only=True, keep_links=False)
            title = str(book.properties.title or "")
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            pieces = [piece for sheet in sheets for piece in _sheet(sheet, large, len(sheets) == 1)]
            book.close()
    except _ERRORS as error:
        raise DeskmateError(f"the workbook is damaged ({type(error).__name__}); open and save it again") from error
    return Draft(title or (title_from_name(name) if len(sheets) > 1 else ""), pieces)


def _sheet(sheet: Any, large: bool, only: bool) -> Iterator[Piece]:
    """One sheet."""
    if large:
        sheet.reset_dimensions()  # a sheet may claim a million columns
    grid = [[_shown(cell) for cell in row] for row in sheet.iter_rows()]
    bold = None
    if not large:
        _empty_hidden(sheet, grid)
        bold = Bold(
            *(
                frozenset(at for at, row in enumerate(sheet.iter_rows()) if test(row))
                for test in (_is_bold, _is_labelled)
            )
        )
        _fill_merged(sheet, grid)
    pieces = list(grid_pieces(grid, 3, bold))
    if pieces and not (only and _PLAIN_NAME.fullmatch(sheet.title)):
        yield Piece(BlockKind.HEADING, sheet.title, 2)
    yield from pieces


def _empty_hidden(sheet: Any, grid: list[list[str]]) -> None:
    """Leave out what nobody sees: hidden columns, and rows that somebody hid. A filter hides rows only for a while."""
    spans = [span for span in sheet.column_dimensions.values() if span.hidden]
    columns = {at for span in spans for at in range(span.min - sheet.min_column, span.max - sheet.min_column + 1)}
    rows = {number for number, row in sheet.row_dimensions.items() if row.hidden and not sheet.auto_filter.ref}
    for number, row in enumerate(grid, sheet.min_row):
        for at in range(len(row)):
            if at in columns or number in rows:
                row[at] = ""


def _is_bold(row: Any) -> bool:
    """Whether all cells of a row are bold, and there are several: a header."""
    filled = [cell for cell in row if cell.value is not None]
    return len(filled) > 1 and all(cell.font.b for cell in filled)


def _is_labelled(row: Any) -> bool:
    """Whether only the first cell of a row is bold."""
    filled = [cell for cell in row if cell.value is not None]
    if len(filled) < 2 or filled[0].column != 1:
        return False
    return bool(filled[0].font.b) and not any(cell.font.b for cell in filled[1:])


def _fill_merged(sheet: Any, grid: list[list[str]]) -> None:
    """Repeat a merged cell in every row that it covers, so that each can be read alone.

    Across columns it is repeated only in a block of several columns that does not span the whole table: a group above
    columns. A title across the sheet is said once.
    """
    width = max((len(row) for row in grid), default=0)
    first_row, first_column = sheet.min_row, sheet.min_column
    for span in sheet.merged_cells.ranges:
        top, left = span.min_row - first_row, span.min_col - first_column
        if not (0 <= top < len(grid) and 0 <= left < len(grid[top])):
            continue
        text = grid[top][left]
        wide = span.max_col - span.min_col + 1
        alone = sum(1 for cell in grid[top] if cell) == 1
        columns = 1 if alone or wide >= width else wide
        for row in grid[top : top + span.max_row - span.min_row + 1]:
            for column in range(left, min(left + columns, len(row))):
                row[column] = row[column] or text


def _shown(cell: Any) -> str:
    """A cell's value about as Excel shows it."""
    value = cell.value
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime.datetime():
            midnight = value.time() == datetime.time(0)
            return value.date().isoformat() if midnight else value.isoformat(" ", "minutes")
        case datetime.time():
            return value.isoformat("minutes")
        case int() | float():
            return _number(value, str(cell.number_format or ""))
    return str(value)


def _number(value: float, pattern: str) -> str:
    """A number with the percent sign, decimals and currency of its format."""
    pattern = pattern.split(";")[0]
    decimals = len(match[1]) if (match := re.search(r"0\.(0+)", pattern)) else 0
    if "%" in pattern:
        return f"{value * 100:.{decimals}f}%"
    if decimals:
        text = f"{value:,.{decimals}f}" if "," in pattern else f"{value:.{decimals}f}"
    elif float(value).is_integer():
        text = f"{int(value):,}" if "#,##0" in pattern else str(int(value))
    else:
        text = f"{value:.10g}"
    currency = _CURRENCY.search(pattern)
    if currency:
        before = currency.start() < (re.search(r"[0#]", pattern) or currency).start()
        return currency[0] + text if before else f"{text} {currency[0]}"
    code = re.search(r"(?:\[\$|\")\s*([A-Z]{3})\b", pattern)
    return f"{text} {code[1]}" if code else text
