"""PowerPoint presentations into pieces, by python-pptx, the library below MarkItDown: slide numbers stay known."""

import io
import re
from collections.abc import Iterator
from typing import Any

from lxml.etree import LxmlError  # type: ignore[import-untyped]
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE, PP_PLACEHOLDER
from pptx.exc import PythonPptxError

from ingest.errors import DeskmateError
from ingest.formats.pieces import Draft, Piece, join_cells
from ingest.records import BlockKind

_ERRORS = (PythonPptxError, LxmlError, KeyError, ValueError, TypeError, AttributeError, IndexError, OSError)
_FRAME = frozenset({PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.HEADER})
"""Placeholders that repeat on every slide."""
_TYPED_MARKER = re.compile(r"\(?(?:\d{1,2}|[a-z])[.)]\s|[-–•*]\s")
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def draft_pptx(data: bytes) -> Draft:
    """Find the pieces of a presentation: each slide's title as a heading, its text, tables, charts and notes.

    `page` is the number of the slide. Hidden slides and shapes are left out, and what lies beside the slide.

    Raises:
        DeskmateError: the presentation is damaged.
    """
    try:
        deck = Presentation(io.BytesIO(data))
        size = deck.slide_width or 0, deck.slide_height or 0
        pieces = []
        for number, slide in enumerate(deck.slides, 1):
            if slide.element.get("show") != "0":
                pieces += [Piece(p.kind, p.text, p.level, number) for p in _slide(slide, number, size)]
        return Draft(_title(deck, pieces), pieces)
    except _ERRORS as error:
        raise DeskmateError(f"the presentation is damaged ({type(error).__name__}); open and save it again") from error


def _title(deck: Any, pieces: list[Piece]) -> str:
    """The title of the first slide, which people see; else the file's own, if it is not what the program put there."""
    if pieces and pieces[0].page == 1 and pieces[0].level and not pieces[0].text.startswith("Slide "):
        return pieces[0].text
    given = str(deck.core_properties.title or "")
    return "" if given.lower() in {"powerpoint presentation", "presentation", "presentation title"} else given


def _slide(slide: Any, number: int, size: tuple[int, int]) -> Iterator[Piece]:
    title = slide.shapes.title
    words = " ".join(title.text_frame.text.split()) if title is not None else ""
    yield Piece(BlockKind.HEADING, words or f"Slide {number}", 1 if number == 1 else 2)
    for shape in _in_order(slide.shapes):
        if _is_seen(shape, size) and (title is None or shape.shape_id != title.shape_id):
            yield from _shape(shape)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        yield Piece(BlockKind.PARAGRAPH, "Notes: " + "\n".join(p.text for p in frame.paragraphs if p.text.strip()))


def _is_seen(shape: Any, size: tuple[int, int]) -> bool:
    """Whether some of a shape lies on the slide, and it is not switched off. Without a place it has its layout's."""
    if shape.element.xpath("./*/p:cNvPr[@hidden='1' or @hidden='true']"):
        return False
    begins, lengths = (shape.left, shape.top), (shape.width, shape.height)
    return all(
        begin is None or (begin < whole and begin + (length or 0) >= 0)
        for begin, length, whole in zip(begins, lengths, size, strict=True)
    )


def _in_order(shapes: Any) -> list[Any]:
    """Shapes as they are read: from the top, then from the left; those within a tenth of an inch are on one line."""
    return sorted(shapes, key=lambda shape: (round((shape.top or 0) / 91440), shape.left or 0))


def _shape(shape: Any) -> Iterator[Piece]:
    if shape.is_placeholder and shape.placeholder_format.type in _FRAME:
        return
    if shape.shape_type == MSO_SHAPE_TYPE.GROUP:
        for inner in _in_order(shape.shapes):
            yield from _shape(inner)
    elif getattr(shape, "has_table", False) and shape.has_table:
        yield Piece(BlockKind.TABLE, "\n".join(filter(None, (join_cells(_cells(row)) for row in shape.table.rows))))
    elif getattr(shape, "has_chart", False) and shape.has_chart:
        yield from _chart(shape.chart)
    elif shape.has_text_frame:
        yield from _text(shape)
    else:
        described = shape.element.xpath(".//p:cNvPr/@descr")
        if described and "generated" not in described[0].lower():
            yield Piece(BlockKind.PARAGRAPH, described[0])


def _cells(row: Any) -> Iterator[str]:
    """A row's cells; a merged one says its text once."""
    for cell in row.cells:
        yield "" if cell.is_spanned else cell.text.replace("\n", "; ").replace("\v", " ")


def _text(shape: Any) -> Iterator[Piece]:
    """A text box: bulleted paragraphs are a list, others stand alone."""
    items: list[str] = []
    for paragraph in shape.text_frame.paragraphs:
        text = " ".join(paragraph.text.replace("\v", " ").split())
        if not text:
            continue
        if marker := _marker(shape, paragraph, len(items)):
            typed = _TYPED_MARKER.match(text)  # a number or dash that somebody typed
            items.append("  " * paragraph.level + (text if typed else f"{marker} {text}"))
            continue
        if items:
            yield Piece(BlockKind.LIST, "\n".join(items))
            items = []
        yield Piece(BlockKind.PARAGRAPH, text)
    if items:
        yield Piece(BlockKind.LIST, "\n".join(items))


def _marker(shape: Any, paragraph: Any, before: int) -> str:
    """The bullet or number before a paragraph. Body placeholders have bullets unless they say otherwise."""
    properties = paragraph._p.pPr
    if properties is not None:
        if properties.find(_A + "buNone") is not None:
            return ""
        if properties.find(_A + "buAutoNum") is not None:
            return f"{before + 1}."
        if properties.find(_A + "buChar") is not None:
            return "-"
    body = shape.is_placeholder and shape.placeholder_format.type in {PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT}
    several = sum(1 for other in shape.text_frame.paragraphs if other.text.strip()) > 1
    return "-" if paragraph.level or (body and several) else ""


def _chart(chart: Any) -> Iterator[Piece]:
    """A chart as the table of its figures; kinds of chart that python-pptx cannot read are left out."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield Piece(BlockKind.PARAGRAPH, chart.chart_title.text_frame.text)
    plots = list(chart.plots)
    if not plots:
        return
    names = [str(category) for category in plots[0].categories]
    lines = []
    for series in plots[0].series:
        values = [f"{name}: {value:g}" for name, value in zip(names, series.values, strict=False) if value is not None]
        lines.append(f"{series.name} | " + " | ".join(values))
    yield Piece(BlockKind.TABLE, "\n".join(lines))
