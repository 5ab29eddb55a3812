"""Plain text into pieces: headings, lists, aligned tables and wrapped paragraphs by their looks."""

import re
from collections.abc import Iterator, Sequence

from ingest.formats.pieces import Piece, join_cells
from ingest.records import BlockKind

_RULE = re.compile(r"\s*([=\-~^\"'*+#_.])\1{2,}\s*")
_BORDER = re.compile(r"[\s|+\-=:]*(?:-{2,}|={2,})[\s|+\-=:]*")
_WIKI_HEADING = re.compile(r"\s*(={2,6})\s*(\S.*?)\s*\1\s*|(#{1,6})\s+(\S.*?)\s*#*\s*")
_NUMBERED = re.compile(
    r"\s*((?:\d{1,3}\.)*\d{1,3}\.?|[A-Z]\.|[IVX]{1,5}\.|(?:Section|Chapter|Part|Article|Annex|Appendix)\s+\w{1,4}[.:]?)\s+(\S.*)"
)
_BULLET = re.compile(r"(\s*)([-*•·‣▪◦–—o]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(?=\S)")
_GAP = re.compile(r"(?<=\S)(?:\s*\t\s*| {3,})(?=\S)(?![-–=:] )")
_LABEL = re.compile(r"[\w/.-]+(?: [\w/.-]+)?(?::| ->| =) |\d{1,2} [a-z]|\[[ xX]?\] ")
"""What begins a line of its own: "owner: ...", "black -> ...", "2 technical lead"."""
_QUOTE = re.compile(r"((?:>\s?)+)(.*)", re.DOTALL)
_SUBJECT = re.compile(
    r"^[ \t]*(?:Subject|Title|Betreff|Objet|Asunto|Onderwerp)[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE
)
LONGEST_HEADING = 80
"""Characters of a line that may be a heading."""
NARROWEST = 50
"""Characters of the narrowest lines that are taken for wrapped ones."""
FULL_LINE = 0.85
"""A line is wrapped if the next word would have taken it past this part of the usual width."""


def text_pieces(text: str) -> Iterator[Piece]:
    """Find the pieces of plain text.

    Headings are lines underlined with rules, `== so ==`, in capitals, or numbered and standing alone. Quoted lines of
    mails ("> ") stay quoted. Columns set apart by tabs or three spaces are a table.
    """
    lines = [line.rstrip() for line in re.sub("\r\n?|[\f\v]", "\n", text).split("\n")]
    width = _usual_width(lines)
    start = 0
    while start < len(lines):
        depth = _quote_depth(lines[start])
        end = start + 1
        while end < len(lines) and _quote_depth(lines[end]) == depth:
            end += 1
        run = lines[start:end]
        if depth:
            yield from _quoted(run, depth)
        else:
            yield from _Reader(run, width).pieces()
        start = end


def title_line(text: str) -> str:
    """The subject that a memo or letter names in one of its first lines, "" if none."""
    match = _SUBJECT.search(text[:1500])
    return match[1] if match else ""


def _quoted(lines: Sequence[str], depth: int) -> Iterator[Piece]:
    """Quoted lines, read without their marks, which are put back."""
    inner = [match[2] if (match := _QUOTE.fullmatch(line)) else line for line in lines]
    for piece in _Reader(inner, _usual_width(inner)).pieces():
        marked = "\n".join(">" * depth + " " + line for line in piece.text.split("\n"))
        yield Piece(BlockKind.PARAGRAPH, marked)


def _quote_depth(line: str) -> int:
    match = _QUOTE.fullmatch(line)
    return match[1].count(">") if match else 0


def _usual_width(lines: Sequence[str]) -> int:
    """The width at which the text was wrapped: that of all but the longest few lines."""
    lengths = sorted(len(line) for line in lines if line)
    return max(lengths[int(len(lengths) * 0.95)] if lengths else 0, NARROWEST)


class _Reader:
    """Reads lines from the first to the last, one piece after the other."""

    def __init__(self, lines: Sequence[str], width: int) -> None:
        self._lines = lines
        self._width = width
        self._at = 0
        self._last = max((at for at, line in enumerate(lines) if line), default=0)

    def pieces(self) -> Iterator[Piece]:
        """All pieces of the lines."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line or (_RULE.fullmatch(line) and not self._overlined()):
                self._at += 1
            elif heading := self._heading():
                yield heading
            else:
                yield from _paragraph(self._paragraph_lines(), self._width)

    def _line(self, offset: int) -> str:
        at = self._at + offset
        return self._lines[at] if 0 <= at < len(self._lines) else ""

    def _overlined(self) -> bool:
        rule, text, under = (self._line(offset).strip() for offset in range(3))
        return rule == under and bool(text) and not _RULE.fullmatch(text) and len(rule) >= len(text) // 2

    def _heading(self) -> Piece | None:
        """A heading at the current line, if there is one; moves past it."""
        line = self._line(0)
        if _RULE.fullmatch(line):  # over- and underlined
            piece = Piece(BlockKind.HEADING, self._line(1), 1)
            self._at += 3
            return piece
        text = line.strip()
        under = self._line(1).strip()
        if self._is_underlined(text, under):
            self._at += 2
            return Piece(BlockKind.HEADING, text, {"=": 1, "-": 2}.get(under[0], 3))
        if match := _WIKI_HEADING.fullmatch(line):
            self._at += 1
            return Piece(BlockKind.HEADING, match[2] or match[4], len(match[1] or match[3]))
        level = self._level_by_looks(text)
        if level:
            self._at += 1
            return Piece(BlockKind.HEADING, text, level)
        return None

    def _is_underlined(self, text: str, under: str) -> bool:
        return bool(
            _RULE.fullmatch(under)
            and len(text) <= 100
            and 0.5 * len(text) <= len(under) <= max(1.5 * len(text), len(text) + 8)
            and not _GAP.search(text)
        )

    def _level_by_looks(self, text: str) -> int:
        """The level of a line in capitals, or numbered and alone between blank lines; 0 for any other line."""
        if len(text) > LONGEST_HEADING or text[-1] in ".,;!?" or _GAP.search(text) or self._line(-1).strip():
            return 0
        if self._at == self._last:  # "A. Smith" below a letter heads nothing
            return 0
        numbered = _NUMBERED.fullmatch(text)
        words = numbered[2] if numbered else text
        letters = [letter for letter in words if letter.isalpha()]
        alone = not self._line(1)
        if (
            len(letters) >= 4
            and all(letter.isupper() for letter in letters)
            and (alone or not self._next_is_capitals())
        ):
            return _depth(numbered[1]) if numbered else 2
        if numbered and alone and words[:1].isupper() and text[-1] != ":" and not self._begins_list(numbered[1]):
            return _depth(numbered[1])
        return 0

    def _next_is_capitals(self) -> bool:
        return self._line(1).isupper()

    def _begins_list(self, number: str) -> bool:
        """Whether the next lines of text are numbered as well, or were before: then these are items, not headings."""
        if number.count(".") >= 2 or "." in number.rstrip("."):
            return False
        after = next((at for at in range(self._at + 1, len(self._lines)) if self._lines[at]), self._at)
        before = next((at for at in range(self._at - 1, -1, -1) if self._lines[at]), self._at)
        near = [self._lines[at] for at in (after, before) if at != self._at]
        return any((match := _NUMBERED.fullmatch(line)) and match[1].rstrip(".").isdigit() for line in near)

    def _paragraph_lines(self) -> list[str]:
        """The lines up to the next blank line, rule or underlined heading."""
        first = self._at
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line or self._is_underlined(line.strip(), self._line(1).strip()):
                break
            self._at += 1
        return list(self._lines[first : self._at])


def _depth(number: str) -> int:
    """The level of a numbered heading: "2." is 2, "2.1" is 3."""
    return min(2 + number.rstrip(".").count("."), 6)


def _paragraph(lines: list[str], width: int) -> Iterator[Piece]:
    """The pieces of lines without a blank one among them: tables, lists and text may follow each other."""
    start = 0
    while start < len(lines):
        end = start + 1
        if _is_row(lines[start]) and end < len(lines) and _goes_on(lines, end):
            while end < len(lines) and _goes_on(lines, end):
                end += 1
            yield Piece(BlockKind.TABLE, "\n".join(_rows(lines[start:end])))
        elif _BULLET.match(lines[start]) and not _is_row(lines[start]):
            while end < len(lines) and not _is_row(lines[end]):
                end += 1
            yield _list(lines[start:end], width)
        else:
            while end < len(lines) and not _begins_other(lines, end):
                end += 1
            kept = [line for line in lines[start:end] if not _RULE.fullmatch(line)]
            yield Piece(BlockKind.PARAGRAPH, unwrap(kept, width))
        start = end


def _goes_on(lines: list[str], at: int) -> bool:
    """Whether a line belongs to the table above it."""
    return _is_row(lines[at]) or bool(_BORDER.fullmatch(lines[at])) or _continues(lines[at - 1], lines[at])


def _begins_other(lines: list[str], at: int) -> bool:
    """Whether a table or a list begins at a line."""
    if _is_row(lines[at]):
        return at + 1 < len(lines) and _goes_on(lines, at + 1)
    match = _BULLET.match(lines[at])
    # "see section\n3. of the ..." is a wrapped line; a list starts at its first number or with a bullet.
    return match is not None and match[2].strip("().") in {*"-*•·‣▪◦–—1a"}


def _list(lines: list[str], width: int) -> Piece:
    """A list: items on lines of their own, wrapped lines joined to their item."""
    items: list[list[str]] = []
    for line in lines:
        if not items or _BULLET.match(line):
            items.append([line])
        else:
            items[-1].append(line)
    texts = []
    indents = sorted({len(item[0]) - len(item[0].lstrip()) for item in items})
    for item in items:
        match = _BULLET.match(item[0])
        indent = indents.index(len(item[0]) - len(item[0].lstrip()))
        marker = match[2] if match else ""
        marker = "-" if len(marker) == 1 else marker
        body = unwrap([item[0][match.end() if match else 0 :], *item[1:]], width - (match.end() if match else 0))
        texts.append(("  " * indent + f"{marker} {body}").replace("\n", "\n" + "  " * (indent + 1)))
    return Piece(BlockKind.LIST, "\n".join(texts))


def unwrap(lines: Sequence[str], width: int) -> str:
    """Join lines that were broken because the next word did not fit; keep line ends that were meant."""
    out = ""
    for line in lines:
        text = line.strip()
        if not out:
            out = text
            previous = line
            continue
        word = text.split(" ", 1)[0]
        if len(previous.rstrip()) + 1 + len(word) > FULL_LINE * width and not _LABEL.match(text):
            glue = "" if previous.endswith("-") and word[:1].islower() and not previous.endswith(" -") else " "
            out += glue + text
        else:
            out += "\n" + text
        previous = line
    return out


def _is_row(line: str) -> bool:
    """Whether a line has columns."""
    stripped = line.strip()
    return bool(_GAP.search(stripped)) or stripped.count("|") >= 2


def _continues(previous: str, line: str) -> bool:
    """Whether a line stands below the last column of the row before it, or below what continued that."""
    indent = len(line) - len(line.lstrip())
    gaps = list(_GAP.finditer(previous))
    column = gaps[-1].end() if gaps else len(previous) - len(previous.lstrip())
    return indent >= 6 and abs(indent - column) <= 2


def _rows(lines: list[str]) -> Iterator[str]:
    """The rows of an aligned or ruled table, cells joined; what continues a cell is joined to its row."""
    rows: list[str] = []
    for at, line in enumerate(lines):
        if _BORDER.fullmatch(line):
            continue
        if rows and not _is_row(line) and _continues(lines[at - 1], line):
            rows[-1] += " " + line.strip()
            continue
        stripped = line.strip()
        cells = stripped.strip("|").split("|") if stripped.count("|") >= 2 else _GAP.split(stripped)
        cells = [cell for cell in cells if not _RULE.fullmatch(cell)]
        if len(cells) == 2 and cells[0].rstrip().endswith(":"):
            rows.append(" ".join(cell.strip() for cell in cells))
        else:
            rows.append(join_cells(cells))
    yield from rows
