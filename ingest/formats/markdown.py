"""Markdown into pieces: blocks by markdown-it-py, inline markup cleaned for reading. Knows no files.

Raw HTML inside Markdown goes to `ingest.formats.html`; what is hidden there stays hidden.
"""

from collections.abc import Iterator
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.errors import DeskmateError
from ingest.formats.dialects import front_matter, plain_markdown
from ingest.formats.inline import inline_text
from ingest.formats.pieces import Draft, Piece, acts_as_heading, assemble, join_cells
from ingest.records import BlockKind, Parsed
from ingest.settings import IngestSettings

DEEPEST = 40
"""Levels of nested lists and quotes that are followed; markdown-it flattens what lies deeper."""


def parse_markdown(text: str, name: str, settings: IngestSettings) -> Parsed:
    """Parse Markdown text into a document.

    Front matter is removed; its `title:` is the title. Jekyll and Liquid tags go, except for the words they show.

    Args:
        text: the decoded file.
        name: its name, for a document without title or heading.
        settings: `max_text_mb` bounds the text.

    Raises:
        DeskmateError: no text, or too much.
    """
    return assemble(draft_markdown(text), name, settings)


def draft_markdown(text: str) -> Draft:
    """Find the pieces of Markdown text.

    Raises:
        DeskmateError: the nesting is too deep to follow.
    """
    title, body = front_matter(text)
    try:
        tokens = _parser().parse(plain_markdown(body))
        return Draft(title, list(_Walker(tokens).pieces()))
    except RecursionError as error:
        raise DeskmateError("its lists or quotes are nested too deeply; simplify the file") from error


@cache
def _parser() -> MarkdownIt:
    """CommonMark with tables and strike-through; bare links need no rule, as they are text already."""
    return MarkdownIt("commonmark", {"maxNesting": DEEPEST}).enable(["table", "strikethrough"])


class _Walker:
    """Walks the flat token stream of one document once, from the first token to the last."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._level = 0

    def pieces(self) -> Iterator[Piece]:
        """All pieces of the document, in order."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            match token.type:
                case "heading_open":
                    self._level = int(token.tag[1])
                    yield Piece(BlockKind.HEADING, self._inline_of_next(), self._level)
                case "paragraph_open" if self._acts_as_heading():
                    yield Piece(BlockKind.HEADING, self._inline_of_next(), min(max(self._level, 1) + 1, 6))
                case "paragraph_open":
                    yield Piece(BlockKind.PARAGRAPH, self._inline_of_next())
                case "bullet_list_open" | "ordered_list_open":
                    yield Piece(BlockKind.LIST, "\n".join(self._list_lines("")))
                case "table_open":
                    yield Piece(BlockKind.TABLE, "\n".join(self._table_rows()))
                case "fence" | "code_block":
                    yield Piece(BlockKind.CODE, token.content)
                    self._at += 1
                case "html_block":
                    yield from self._html_run()
                case _:  # what opens and closes quotes
                    self._at += 1

    def _acts_as_heading(self) -> bool:
        """Whether the paragraph here is one short bold line that is no sentence."""
        children = self._tokens[self._at + 1].children or []
        types = [child.type for child in children if child.type != "text" or child.content]
        text = self._tokens[self._at + 1].content.strip("*_ ")
        bold = len(types) > 2 and types[0] == "strong_open" and types[-1] == "strong_close"
        return bold and types.count("strong_open") == 1 and acts_as_heading(text)

    def _inline_of_next(self) -> str:
        """The text of the inline token after an opening one; moves past the closing one."""
        text = inline_text(self._tokens[self._at + 1])
        self._at += 3
        return text

    def _list_lines(self, indent: str) -> list[str]:
        """A list, one line an item, nested lists indented by two spaces; starts at the token that opens it."""
        token = self._tokens[self._at]
        ordered = token.type == "ordered_list_open"
        start = token.attrGet("start")
        number = 1 if start is None else int(start)
        close = token.type.replace("open", "close")
        lines: list[str] = []
        self._at += 1
        while self._tokens[self._at].type != close:
            marker = f"{number}{token.markup}" if ordered else "-"
            number += 1
            lines += self._item_lines(indent, marker)
        self._at += 1
        return lines

    def _item_lines(self, indent: str, marker: str) -> list[str]:
        """One item: its first line behind the marker, the rest indented below."""
        inner = indent + "  "
        lines: list[str] = []
        self._at += 1
        while self._tokens[self._at].type != "list_item_close":
            token = self._tokens[self._at]
            match token.type:
                case "paragraph_open" | "heading_open":
                    lines += [inner + line for line in self._inline_of_next().split("\n") if line.strip()]
                case "bullet_list_open" | "ordered_list_open":
                    lines += self._list_lines(inner)
                case "table_open":
                    lines += [inner + row for row in self._table_rows()]
                case "fence" | "code_block":
                    lines += [inner + line for line in token.content.split("\n") if line.strip()]
                    self._at += 1
                case "html_block":
                    lines += [inner + line for piece in self._html_run() for line in piece.text.split("\n")]
                case _:
                    self._at += 1
        self._at += 1
        if not lines:
            return []
        return [f"{indent}{marker} {lines[0].strip()}", *lines[1:]]

    def _table_rows(self) -> list[str]:
        """The rows of a table, header first; starts at the token that opens the table."""
        rows: list[str] = []
        cells: list[str] = []
        while (token := self._tokens[self._at]).type != "table_close":
            if token.type == "tr_open":
                cells = []
            elif token.type == "inline":
                cells.append(inline_text(token).replace("\n", "; "))
            elif token.type == "tr_close":
                rows.append(join_cells(cells))
            self._at += 1
        self._at += 1
        return rows

    def _html_run(self) -> Iterator[Piece]:
        """Raw HTML up to the next Markdown block: blank lines inside a table must not tear it apart."""
        from ingest.formats.html import html_pieces

        parts = [self._tokens[self._at].content]
        self._at += 1
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            in_html = token.type == "code_block" and token.content.lstrip().startswith("<")
            if token.type != "html_block" and not in_html:
                break
            parts.append(token.content)
            self._at += 1
        yield from html_pieces("".join(parts))
