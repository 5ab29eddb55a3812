"""HTML into pieces, by Beautiful Soup on lxml. Fetches nothing: links, images and styles are only text here."""

import re
import warnings
from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.element import NavigableString

from ingest.formats.html_clean import clean
from ingest.formats.inline import hidden_address
from ingest.formats.pieces import Draft, Piece, acts_as_heading, join_cells
from ingest.records import BlockKind

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_BLOCK_NAMES = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary "
    "table tbody td tfoot th thead tr ul "
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")
_BULLET = re.compile(r"\s*[•·▪◦§‣]\s*(?=\S)")
_BULLET_LINE = re.compile(r"\s*(?:[-*•·–]|\(?\d{1,3}[.)])\s+\S")
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?|emf|wmf)", re.IGNORECASE)
WIDEST_SPAN = 100
"""Columns or rows that one cell may span; a hostile `colspan` must not fill the memory."""


def draft_html(source: str) -> Draft:
    """Find the title and the pieces of a page or a fragment. A page's scripts, menus and hidden parts are left out."""
    soup = _soup(source)
    title = soup.title.get_text() if soup.title else ""
    top = soup.find("h1")
    heading = top.get_text(" ", strip=True) if isinstance(top, Tag) else ""
    if heading and heading.casefold() in " ".join(title.split()).casefold():
        title = heading  # "Annual leave - People - Intranet" is about annual leave
    return Draft(title, _pieces(soup))


def html_pieces(source: str) -> Iterator[Piece]:
    """Find the pieces of a fragment of HTML, as inside Markdown or a mail."""
    return _pieces(_soup(source))


def _soup(source: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML is HTML with an XML declaration
        return BeautifulSoup(source, "lxml")


def _pieces(soup: BeautifulSoup) -> Iterator[Piece]:
    content = clean(soup)
    try:
        yield from _merge_items(list(_Walker().walk(content)))
    except RecursionError:
        # Thousands of tags that were never closed: the structure is lost, the words are not.
        for line in content.get_text("\n").split("\n"):
            yield Piece(BlockKind.PARAGRAPH, line)


def _merge_items(pieces: list[Piece]) -> Iterator[Piece]:
    """Make lists of paragraphs that begin with a bullet, one after the other, as Word and mail programs write them."""
    items: list[str] = []
    for piece in pieces:
        bullet = _BULLET.match(piece.text) if piece.kind is BlockKind.PARAGRAPH else None
        if bullet:
            items.append("- " + piece.text[bullet.end() :])
            continue
        if items:
            yield Piece(BlockKind.LIST, "\n".join(items))
            items = []
        yield piece
    if items:
        yield Piece(BlockKind.LIST, "\n".join(items))


class _Walker:
    """Walks a pruned page; remembers the level of the last heading for what only acts as one."""

    def __init__(self) -> None:
        self._level = 0

    def walk(self, parent: Tag) -> Iterator[Piece]:
        """The pieces inside an element: runs of inline content are paragraphs."""
        run: list[Tag | NavigableString] = []
        for child in parent.children:
            if isinstance(child, Tag) and _is_block(child):
                yield from self._paragraphs(run)
                run = []
                yield from self._block(child)
            elif isinstance(child, Tag | NavigableString):
                run.append(child)
        yield from self._paragraphs(run)

    def _block(self, tag: Tag) -> Iterator[Piece]:
        name = tag.name
        if name in _HEADINGS:
            self._level = _HEADINGS[name]
            yield Piece(BlockKind.HEADING, _text(tag), self._level)
        elif name in _LISTS:
            yield Piece(BlockKind.LIST, "\n".join(self._list_lines(tag, "")))
        elif name == "dl":
            yield Piece(BlockKind.LIST, "\n".join(self._definitions(tag)))
        elif name == "pre":
            yield Piece(BlockKind.CODE, _preformatted(tag))
        elif name == "table":
            yield from self._table(tag)
        elif name == "summary":
            yield Piece(BlockKind.HEADING, _text(tag), min(max(self._level, 1) + 1, 6))
        elif name == "p" and "MsoTitle" in (tag.get("class") or ()):
            yield Piece(BlockKind.HEADING, _text(tag), 1)
        elif name == "p" and (bold := _bold_line(tag)):
            yield Piece(BlockKind.HEADING, bold, min(max(self._level, 1) + 1, 6))
        else:
            yield from self.walk(tag)

    def _paragraphs(self, run: list[Tag | NavigableString]) -> Iterator[Piece]:
        """A run of inline content: one paragraph, or several where two line breaks part them."""
        text = _join(run)
        for part in re.split(r"\n\s*\n", text):
            lines = [line.strip() for line in part.split("\n") if line.strip()]
            if not lines:
                continue
            listed = len(lines) > 1 and all(_BULLET_LINE.match(line) for line in lines)
            yield Piece(BlockKind.LIST if listed else BlockKind.PARAGRAPH, "\n".join(lines))

    def _list_lines(self, tag: Tag, indent: str) -> list[str]:
        """A list, one line an item; nested lists are indented by two spaces."""
        ordered = tag.name == "ol"
        number = _integer(tag.get("start"), 1)
        lines: list[str] = []
        for child in tag.children:
            if not isinstance(child, Tag):
                continue
            if child.name in _LISTS:  # a list right inside a list: invalid, and common in what Word exports
                lines += self._list_lines(child, indent + "  ")
                continue
            number = _integer(child.get("value"), number)
            inner = self._inner_lines(child, indent + "  ")
            if inner:
                marker = f"{number}." if ordered else "-"
                number += 1
                lines += [f"{indent}{marker} {inner[0].strip()}", *inner[1:]]
        return lines

    def _inner_lines(self, tag: Tag, indent: str) -> list[str]:
        """What is inside a list item or a definition, as lines below its first one."""
        lines: list[str] = []
        for piece in _Walker().walk(tag):
            lines += [indent + line for line in piece.text.split("\n") if line.strip()]
        return lines

    def _definitions(self, tag: Tag) -> list[str]:
        """A definition list: "term: definition" a line, more lines indented."""
        lines: list[str] = []
        terms: list[str] = []
        for child in tag.find_all(["dt", "dd"]):
            if child.find_parent("dl") is not tag:
                continue
            if child.name == "dt":
                terms.append(_text(child))
                continue
            inner = self._inner_lines(child, "  ")
            head = ", ".join(term.rstrip(": ") for term in terms if term)
            if inner:
                first = inner[0].strip()
                lines += [f"{head}{'' if head.endswith('?') else ':'} {first}" if head else f"  {first}", *inner[1:]]
            elif head:
                lines.append(head)
            terms = []
        return lines + [term for term in terms if term]

    def _table(self, tag: Tag) -> Iterator[Piece]:
        """A table of data, one line a row; a table that only lays the page out is read cell by cell."""
        rows = [row for row in tag.find_all("tr") if row.find_parent("table") is tag]
        cells = [[cell for cell in row.find_all(["td", "th"]) if cell.find_parent("tr") is row] for row in rows]
        if not rows or _is_layout(tag, cells):
            yield from self.walk(tag)
            return
        caption = tag.find("caption")
        if isinstance(caption, Tag):
            yield Piece(BlockKind.PARAGRAPH, _text(caption))
        yield Piece(BlockKind.TABLE, "\n".join(filter(None, (join_cells(row) for row in _grid(cells)))))


def _is_block(tag: Tag) -> bool:
    """Whether an element makes blocks: by its name, or because a block is inside a link, span or unknown element."""
    return tag.name in _BLOCKS or tag.find(lambda inner: inner.name in _BLOCKS) is not None


def _is_layout(table: Tag, cells: list[list[Tag]]) -> bool:
    """Whether a table only places things: one column, a table within, or headings and long texts in its cells."""
    if str(table.get("role", "")).lower() in {"presentation", "none"}:
        return True
    if max(map(len, cells)) < 2 or table.find(["table", "h1", "h2", "h3"]) is not None:
        return table.find("th") is None or table.find("table") is not None
    return False


def _grid(cells: list[list[Tag]]) -> Iterator[list[str]]:
    """Rows of texts. A cell over several rows is repeated in each, so that every row can be read alone."""
    below: dict[int, tuple[str, int]] = {}
    for row in cells:
        line: list[str] = []
        waiting = list(row)
        while waiting or len(line) in below:
            column = len(line)
            if column in below:
                text, left = below.pop(column)
                if left > 1:
                    below[column] = (text, left - 1)
                line.append(text)
                continue
            cell = waiting.pop(0)
            text = cell_text(cell)
            wide = min(max(_integer(cell.get("colspan"), 1), 1), WIDEST_SPAN)
            high = min(max(_integer(cell.get("rowspan"), 1), 1), WIDEST_SPAN)
            alone = len(row) == 1  # a title across the whole table is said once
            for offset in range(wide):
                shown = text if offset == 0 or not alone else ""
                line.append(shown)
                if high > 1:
                    below[column + offset] = (shown, high - 1)
        yield line


def cell_text(cell: Tag) -> str:
    """A table cell on one line: items and paragraphs are parted by semicolons."""
    lines = [re.sub(r"^- ", "", line.strip()) for piece in _Walker().walk(cell) for line in piece.text.split("\n")]
    texts = [line for line in lines if line]
    return " ".join(line if line[-1] in ".;:,!?" or line is texts[-1] else f"{line};" for line in texts)


def _text(tag: Tag) -> str:
    """The words of an element on one line."""
    return " ".join(_join([tag]).split())


def _join(nodes: list[Tag | NavigableString]) -> str:
    """The words of inline nodes: white space as a browser would show it, `<br>` as a line end."""
    parts: list[str] = []
    _collect(nodes, parts)
    return _SPACE.sub(" ", "".join(parts).replace("\n", " ")).replace("\v", "\n")


def _collect(nodes: list[Tag | NavigableString], parts: list[str]) -> None:
    for node in nodes:
        if isinstance(node, NavigableString):
            parts.append(node.replace("\v", " "))
            continue
        match node.name:
            case "br":
                parts.append("\v")  # survives the folding of white space
            case "img":
                alt = str(node.get("alt") or "").strip()
                parts.append("" if _FILE_NAME.fullmatch(alt) else alt)
            case "time" if not node.get_text(strip=True):
                parts.append(str(node.get("datetime") or ""))
            case "q":
                parts.append(f'"{_text_inside(node)}"')
            case "a":
                shown = _text_inside(node)
                parts.append(shown + hidden_address(str(node.get("href") or ""), shown))
            case _:
                _collect([child for child in node.children if isinstance(child, Tag | NavigableString)], parts)
                if node.name in _BLOCKS:
                    parts.append(" ")


def _text_inside(tag: Tag) -> str:
    parts: list[str] = []
    _collect([child for child in tag.children if isinstance(child, Tag | NavigableString)], parts)
    return "".join(parts)


def _preformatted(tag: Tag) -> str:
    for line_break in tag.find_all("br"):
        line_break.replace_with("\n")
    return tag.get_text()


def _bold_line(tag: Tag) -> str:
    """The text of a paragraph that is all bold, short and no sentence: it acts as a heading. Else ""."""
    inner = [child for child in tag.children if not (isinstance(child, NavigableString) and not child.strip())]
    if len(inner) != 1 or not isinstance(inner[0], Tag) or inner[0].name not in {"b", "strong"}:
        return ""
    text = _text(tag)
    return text if acts_as_heading(text) else ""


def _integer(value: object, default: int) -> int:
    text = str(value or "").strip()
    return int(text) if re.fullmatch(r"\d{1,6}", text) else default
