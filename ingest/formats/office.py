"""Word documents into pieces, by mammoth, the library below MarkItDown.

MarkItDown turns mammoth's HTML into Markdown, which would have to be parsed again, and importing it takes 0.6 s and an
inference runtime (for guessing file types) in every worker; mammoth alone takes 0.06 s.
"""

import io
import re
from typing import Any
from xml.parsers.expat import ExpatError
from xml.sax import SAXException

import mammoth
from bs4 import BeautifulSoup

from ingest.errors import DeskmateError
from ingest.formats.hidden_runs import without_hidden
from ingest.formats.html import draft_html
from ingest.formats.numbering import heading_numbers
from ingest.formats.pieces import Draft, Piece
from ingest.records import BlockKind

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Heading 7'] => h6:fresh
p[style-name='Heading 8'] => h6:fresh
p[style-name='Heading 9'] => h6:fresh
p[style-name^='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name^='toc '] => !
p[style-name^='TOC '] => !
p[style-name='table of figures'] => !
strike => s
"""
_ERRORS = (LookupError, ValueError, TypeError, AttributeError, ExpatError, SAXException, OSError, SyntaxError)
"""What mammoth and lxml raise for documents that are not as they expect them."""


def draft_docx(data: bytes) -> Draft:
    """Find the pieces of a Word document. Numbers that Word gives to headings are put before them.

    Images leave their alternative text; comments, deleted and hidden text, page headers and tables of contents are left
    out.

    Raises:
        DeskmateError: the document is damaged.
    """
    try:
        data = without_hidden(data)
        html = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map=_STYLES,
            convert_image=mammoth.images.img_element(_no_image),
            ignore_empty_paragraphs=True,
        ).value
        numbers = heading_numbers(data)
    except _ERRORS as error:
        raise DeskmateError(f"the document is damaged ({type(error).__name__}); open and save it again") from error
    draft = draft_html(_without_marks(html))
    return Draft(draft.title, _numbered(list(draft.pieces), numbers))


def _no_image(_: Any) -> dict[str, str]:
    """Leave an image's bytes where they are; mammoth adds the alternative text itself."""
    return {"src": ""}


def _without_marks(html: str) -> str:
    """Drop the raised numbers of foot- and endnotes and the arrows back; "[1]" would look like a citation."""
    if "note-ref-" not in html:
        return html
    soup = BeautifulSoup(html, "lxml")
    for link in soup.find_all("a"):
        target, name = str(link.get("href", "")), str(link.get("id", ""))
        if re.match(r"#(?:foot|end)note-ref-", target):
            link.decompose()
        elif re.match(r"(?:foot|end)note-ref-", name):
            (link.find_parent("sup") or link).decompose()
    return str(soup)


def _numbered(pieces: list[Piece], numbers: list[tuple[str, str]]) -> list[Piece]:
    """Put Word's numbers before the headings they belong to, matched by their words in order."""
    waiting = list(numbers)
    out = []
    for piece in pieces:
        if piece.kind is BlockKind.HEADING:
            words = " ".join(piece.text.split())
            at = next((at for at, (_, text) in enumerate(waiting) if text == words), None)
            if at is not None:
                piece = Piece(piece.kind, f"{waiting[at][0]} {words}", piece.level, piece.page)
                waiting = waiting[at + 1 :]
        out.append(piece)
    return out
