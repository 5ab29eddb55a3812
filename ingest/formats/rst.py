"""reStructuredText into pieces: titles, directives and roles, the rest as plain text. Runs no directive."""

import re
from collections.abc import Iterator

from ingest.formats.pieces import Draft, Piece
from ingest.formats.plain import text_pieces
from ingest.records import BlockKind

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*")
_DIRECTIVE = re.compile(r"(\s*)\.\.\s+(?:\|[^|]+\|\s+)?([\w:+.-]+)::\s*(.*)")
_EXPLICIT = re.compile(r"(\s*)\.\.(?:\s+(.*))?")
_FIELD = re.compile(r"\s*:([\w -]+):(?:\s+(.*))?")
_SIMPLE_BORDER = re.compile(r"\s*=+(?: +=+)+\s*")
_CALLOUT_NAMES = "note warning tip important caution danger attention hint error admonition seealso topic sidebar "
_CALLOUTS = frozenset(_CALLOUT_NAMES.split())
_CONTENT_NAMES = "versionadded versionchanged deprecated epigraph container class rubric centered list-table "
_CONTENT = _CALLOUTS | frozenset(_CONTENT_NAMES.split())
_CODE = frozenset(["code", "code-block", "sourcecode", "highlight", "literalinclude", "parsed-literal", "console"])
_INLINE = (
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r":[\w:+.-]+:`([^`<]+?)\s*<[^`>]*>`"), r"\1"),
    (re.compile(r":[\w:+.-]+:`~?!?([^`]+)`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),
    (re.compile(r"`([^`]+)`__?"), r"\1"),
    (re.compile(r"(?<![\w`])`([^`]+)`(?!\w)"), r"\1"),
    (re.compile(r"\*\*(\S(?:.*?\S)?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*?\S)?)\*(?![\w*])"), r"\1"),
    (re.compile(r"\|(\w[^|\n]*\w)\|_?"), r"\1"),
    (re.compile(r"\s?\[(?:#\w*|\*|\d+)\]_"), ""),
    (re.compile(r"(?<=\w)__?(?=[\s.,;:!?)]|$)"), ""),
)


def draft_rst(text: str) -> Draft:
    """Find the pieces of reStructuredText. Titles get their level by the order in which their adornments appear."""
    return Draft("", list(_Reader(text.expandtabs(4).splitlines()).pieces()))


class _Reader:
    """Goes through the lines; what is no title or directive is collected and read as plain text."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line.rstrip() for line in lines]
        self._at = 0
        self._styles: list[str] = []
        self._plain: list[str] = []

    def pieces(self) -> Iterator[Piece]:
        """All pieces of the text."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if title := self._title():
                yield from self._flush()
                yield title
            elif _SIMPLE_BORDER.fullmatch(line):
                yield from self._flush()
                yield Piece(BlockKind.TABLE, "\n".join(self._simple_table()))
            elif match := _DIRECTIVE.fullmatch(line):
                yield from self._flush()
                yield from self._directive(match)
            elif re.match(r"\s*\.\.(?:\s|$)", line):
                self._comment()
            elif line.endswith("::"):
                self._plain.append(line[:-1] if line.strip() != "::" else "")
                self._at += 1
                yield from self._flush()
                yield Piece(BlockKind.CODE, "\n".join(self._body(_indent(line))))
            elif (field := _FIELD.fullmatch(line)) and not line.startswith(" "):
                self._plain.append(f"{field[1]}: {field[2] or ''}")
                self._at += 1
            else:
                self._plain.append(re.sub(r"^(\s*)\| ", r"\1", line))
                self._at += 1
        yield from self._flush()

    def _flush(self) -> Iterator[Piece]:
        """What was collected, as plain text without inline markup."""
        text = plain_inline("\n".join(self._plain))
        self._plain = []
        yield from text_pieces(text)

    def _title(self) -> Piece | None:
        """A title with its adornments, if one is here; moves past it."""
        first, second, third = (
            self._lines[at] if at < len(self._lines) else "" for at in range(self._at, self._at + 3)
        )
        if _ADORNMENT.fullmatch(first) and second.strip() and _ADORNMENT.fullmatch(third) and first[0] == third[0]:
            text, style, size = second, first[0] * 2, 3
        elif (
            first.strip()
            and not first.startswith(" ")
            and _ADORNMENT.fullmatch(second)
            and not _ADORNMENT.fullmatch(first)
        ):
            text, style, size = first, second[0], 2
            if len(second) < min(len(first), 4) or (self._plain and self._plain[-1]):
                return None
        else:
            return None
        if style not in self._styles:
            self._styles.append(style)
        self._at += size
        return Piece(BlockKind.HEADING, plain_inline(text.strip()), min(self._styles.index(style) + 1, 6))

    def _body(self, indent: int) -> list[str]:
        """The indented lines below a line, without their common indent; moves past them."""
        body: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line and _indent(line) <= indent:
                break
            body.append(line)
            self._at += 1
        common = min((_indent(line) for line in body if line), default=0)
        return [line[common:] for line in body]

    def _directive(self, match: re.Match[str]) -> Iterator[Piece]:
        """A directive: its content where people read it, else nothing."""
        indent, name, argument = len(match[1]), match[2].split(":")[-1], match[3]
        self._at += 1
        body = self._body(indent)
        options = 0
        while options < len(body) and _FIELD.fullmatch(body[options]):
            options += 1
        body = body[options:]
        if name in _CODE:
            yield Piece(BlockKind.CODE, "\n".join(body))
        elif name == "list-table":
            yield from _list_table(argument, body)
        elif name in _CONTENT or name == "table":
            head = argument if name in {"admonition", "topic", "sidebar", "rubric", "table", "centered"} else ""
            label = head or (name.capitalize() if name in _CALLOUTS else "")
            first = f"{label}: " if label and name in _CALLOUTS else label
            if not head and argument:
                body = [argument, *body]
            while body and not body[0]:
                body = body[1:]
            if first and body and not _ADORNMENT.match(body[0]) and not body[0].startswith("+"):
                body = [f"{first.rstrip(': ')}: {body[0]}", *body[1:]]
            elif first:
                body = [first.rstrip(": "), "", *body]
            yield from _Reader(body).pieces()

    def _comment(self) -> None:
        """Skip comments, link targets and footnote marks; a footnote's text stays."""
        line = self._lines[self._at]
        indent = _indent(line)
        note = re.match(r"\s*\.\.\s+\[(?:#?\w*|\*)\]\s+(.*)", line)
        self._at += 1
        body = self._body(indent)
        if note:
            self._plain += ["", "Note: " + " ".join([note[1], *body]).strip(), ""]

    def _simple_table(self) -> Iterator[str]:
        """A table between lines of `=`, cut at the columns that its border shows."""
        spans = [match.span() for match in re.finditer(r"=+", self._lines[self._at])]
        self._at += 1
        rows: list[list[str]] = []
        borders = 1
        while self._at < len(self._lines) and (self._lines[self._at] or borders < 3):
            line = self._lines[self._at]
            self._at += 1
            if _SIMPLE_BORDER.fullmatch(line):
                borders += 1
                if borders == 3 or not (self._at < len(self._lines) and self._lines[self._at]):
                    break
                continue
            if not line or set(line) <= {"-", " "}:
                continue
            ends = [start for start, _ in spans[1:]] + [len(line) + 1]
            cells = [line[start:end].strip() for (start, _), end in zip(spans, ends, strict=True)]
            if rows and not cells[0]:
                rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells, strict=True)]
            else:
                rows.append(cells)
        for row in rows:
            yield plain_inline(" | ".join(row))


def _list_table(title: str, body: list[str]) -> Iterator[Piece]:
    """A table written as a list of lists."""
    if title:
        yield Piece(BlockKind.PARAGRAPH, plain_inline(title))
    rows: list[list[str]] = []
    for line in body:
        match = re.fullmatch(r"(\* +)?(?:\s*)-\s?(.*)", line)
        if match and (match[1] or rows):
            if match[1]:
                rows.append([])
            rows[-1].append(match[2])
        elif rows and rows[-1] and line.strip():
            rows[-1][-1] += " " + line.strip()
    yield Piece(BlockKind.TABLE, "\n".join(plain_inline(" | ".join(row)) for row in rows))


def plain_inline(text: str) -> str:
    """Text without roles, emphasis, literals and references."""
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
