"""Text of a model or a document to safe HTML. Every character is escaped here; nothing that arrives is trusted.

Models write a little Markdown. markdown-it-py (CommonMark, HTML off) renders it, without links and images: the only
links in an answer are its citations. Documents are in the normalised form of `ingest.normalise`, which is not
Markdown: a blank line between blocks, one line a table row with cells joined by " | ".
"""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt

OPEN, CLOSE = "\ue000", "\ue001"
"""Stand in the Markdown for where an unsupported sentence begins and ends. Private code points: `plain` takes any that
arrive from outside away, and documents hold none (see `ingest.normalise`)."""

FLAG = (
    '<span class="dm-flag" tabindex="0" role="note">not found in the sources'
    '<span class="dm-tip" role="tooltip">No passage that was found supports this sentence. '
    "Check it before you rely on it.</span></span>"
)

_PRIVATE = re.compile(f"[{OPEN}{CLOSE}]")
_MARKER = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_BEGUN_MARKER = re.compile(r"\s*\[[\d,; ]*$")
_TAG = re.compile(r"(<[^>]*>)")
_HEADING = re.compile(r"(</?h)[1-6]>")
_BLOCK_START = re.compile(r"(?:\s*(?:[-*+•]|\d{1,3}[.)]|\#{1,6}|>)\s+|\s*\|)*\s*")
_ROW_END = re.compile(r"\s*\|?\s*$")

_ACTIVE = re.compile(r"(\\*)(\[(?!\d{1,3}(?:[ ,;–-]+\d{1,3})*\](?![(:]))|<(?!\s))")
"""What could begin a link, an image, a definition of either, an address in angle brackets or a tag; no marker does."""
_BEGUN_ACTIVE = re.compile(r"\\*(?:\[[\d ,;–-]{0,20}\]?|<)?$")

_LIST_ITEM = re.compile(r"(?:[-*+•–]|\d{1,3}[.)]|[a-z][.)])\s")
_CELL_END = re.compile(r" \| ")
_KEY = re.compile(r"[^:|]{1,60}: ")

LONGEST_HEADING = 90

LONGEST_LINE = 4000
"""A line that is longer is shown around the span only."""

Chip = Callable[[int], str | None]
"""The HTML of the citation with a number, or None where nothing has that number."""


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    return parser.disable(["link", "image", "autolink", "reference", "html_inline", "html_block", "lheading", "code"])


def plain(text: str) -> str:
    """Text without the two code points that this module gives a meaning."""
    return _PRIVATE.sub("", text)


def answer_html(text: str, chip: Chip, unsupported: Sequence[str] = (), *, writing: bool = False) -> str:
    """Render what a model wrote.

    Args:
        text: the model's words with markers such as `[1]`.
        chip: makes the citation for a marker's number.
        unsupported: the sentences to mark, in the order in which they stand in the text.
        writing: the text is still growing, so half a marker at its end is held back.

    Returns:
        HTML in which nothing of `text` is markup.
    """
    text = plain(text)
    if writing:
        text = _BEGUN_MARKER.sub("", text)
    rendered = _markdown().render(_bracket(text, [plain(sentence) for sentence in unsupported]))
    rendered = _HEADING.sub(r"\g<1>4>", rendered)  # the page has its own outline; an answer's headings are small ones
    return "".join(_dress(rendered, chip))


def _bracket(text: str, sentences: Sequence[str]) -> str:
    """Put OPEN and CLOSE around sentences, inside the Markdown signs of their line; neighbours share one pair."""
    spans: list[tuple[int, int]] = []
    position = 0
    for sentence in sentences:
        at = text.find(sentence, position) if sentence else -1
        if at < 0:
            continue
        position = at + len(sentence)
        line = text.rfind("\n", 0, at) + 1
        begin = max(at, _BLOCK_START.match(text, line).end())  # type: ignore[union-attr]  # it matches the empty string
        end = at + _ROW_END.search(sentence).start()  # type: ignore[union-attr]  # as does this
        if spans and re.fullmatch(r"[^\S\n]*", text[spans[-1][1] : begin]):
            begin = spans.pop()[0]
        if begin < end:
            spans.append((begin, end))
    pieces, position = [], 0
    for begin, end in spans:
        pieces += [text[position:begin], OPEN, text[begin:end], CLOSE]
        position = end
    return "".join([*pieces, text[position:]])


def _dress(rendered: str, chip: Chip) -> Iterator[str]:
    """Turn markers into citations and the brackets into marks, in the text between the tags only."""
    unsure = False
    code = 0
    for piece in _TAG.split(rendered):
        if piece.startswith("<"):
            code += piece.startswith("<code") - piece.startswith("</code")
            yield piece
            continue
        for part in re.split(f"([{OPEN}{CLOSE}])", piece):
            if part == OPEN:
                unsure = True
            elif part == CLOSE:
                unsure = False
                yield FLAG
            elif part.strip():
                body = part if code else _MARKER.sub(lambda match: _chips(match, chip), part)
                yield f'<span class="dm-unsure">{body}</span>' if unsure else body
            else:
                yield part


def _chips(match: re.Match[str], chip: Chip) -> str:
    """The citations of one marker; a number that nothing has stays what it was, text."""
    made = [chip(int(number)) for number in re.findall(r"\d+", match[1])]
    return "".join(one for one in made if one) if all(made) else match[0]


def inert(text: str) -> str:
    """Markdown that loads nothing and leads nowhere, for a client that renders it with links, images and HTML.

    Brackets that are no citation's, and angle brackets, are escaped; all else is as it was.
    """

    def escape(match: re.Match[str]) -> str:
        escaped = len(match[1]) % 2  # by a backslash that stands there already
        return f"{match[1]}{'' if escaped else chr(92)}{match[2]}"

    return _ACTIVE.sub(escape, text)


def begun(text: str) -> int:
    """Where in a growing text that begins which `inert` cannot judge before more is there; its length where nothing."""
    match = _BEGUN_ACTIVE.search(text)
    return match.start() if match else len(text)


def passage_html(text: str, start: int, end: int, *, around: int | None = 1600) -> str:
    """Render a document's text around a span, with the span in `<mark>`.

    Args:
        text: the document's normalised text.
        start: of the span.
        end: of the span.
        around: characters to show before and after at least, whole blocks; None for the whole document.
    """
    low, high = (0, len(text)) if around is None else (start - around, end + around)
    out: list[str] = []
    cut_before = cut_after = False
    position = 0
    for block in text.split("\n\n"):
        begin, stop = position, position + len(block)
        position = stop + 2
        if stop < low:
            cut_before = True
        elif begin > high:
            cut_after = True
        else:
            lines = list(_lines(block, begin, low, high))
            out.append(_block(lines, (start, end)))
    if cut_before:
        out.insert(0, '<p class="dm-cut" aria-hidden="true">…</p>')
    if cut_after:
        out.append('<p class="dm-cut" aria-hidden="true">…</p>')
    return "".join(out)


def _lines(block: str, begin: int, low: int, high: int) -> Iterator[tuple[str, int]]:
    """The lines of a block with their places; of a very long block the first line and those near the span."""
    for number, line in enumerate(block.split("\n")):
        stop = begin + len(line)
        near = stop >= low and begin <= high
        if len(line) > LONGEST_LINE and near:
            cut = max(low - begin, 0)
            yield line[cut : high - begin], begin + cut
        elif near or (number == 0 and len(line) <= LONGEST_LINE):
            yield line, begin
        begin = stop + 1


def _block(lines: list[tuple[str, int]], span: tuple[int, int]) -> str:
    """One block: a table, records, a heading, or a paragraph with its list items."""
    first = lines[0][0] if lines else ""
    rows = sum(" | " in line for line, _ in lines)
    if " | " in first and 2 * rows >= len(lines):
        if all(_KEY.match(cell) for cell in _CELL_END.split(first)):
            return "".join(_record(line, begin, span) for line, begin in lines)
        if len(lines) > 1:
            return _table(lines, span)
    if len(lines) == 1 and _is_heading(first):
        return f'<p class="dm-h">{_marked(first, lines[0][1], span)}</p>'
    return "".join(
        f'<p class="{"dm-li" if _LIST_ITEM.match(line.lstrip()) else "dm-p"}">{_marked(line, begin, span)}</p>'
        for line, begin in lines
    )


def _is_heading(line: str) -> bool:
    """Whether a line on its own reads like a heading; the normalised text does not say."""
    return len(line) <= LONGEST_HEADING and line[-1:] not in ".:;,!?" and not _LIST_ITEM.match(line)


def _cells(line: str, begin: int) -> Iterator[tuple[str, int]]:
    position = 0
    for match in [*_CELL_END.finditer(line), None]:
        stop = match.start() if match else len(line)
        yield line[position:stop], begin + position
        position = match.end() if match else stop


def _table(lines: list[tuple[str, int]], span: tuple[int, int]) -> str:
    rows = []
    for number, (line, begin) in enumerate(lines):
        tag = "td" if number else "th"
        cells = "".join(f"<{tag}>{_marked(cell, at, span)}</{tag}>" for cell, at in _cells(line, begin))
        rows.append(f"<tr>{cells}</tr>")
    head, *body = rows
    return (
        f'<div class="dm-scroll" tabindex="0" role="region" aria-label="Table"><table><thead>{head}</thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _record(line: str, begin: int, span: tuple[int, int]) -> str:
    """A row that names its columns itself ("Country: Austria | Full day: 55"), as a list of pairs."""
    pairs = []
    for cell, at in _cells(line, begin):
        key = _KEY.match(cell)
        split = key.end() if key else 0
        label = f"<i>{_marked(cell[:split], at, span)}</i>" if split else ""
        pairs.append(f"<span>{label}{_marked(cell[split:], at + split, span)}</span>")
    return f'<p class="dm-rec">{" ".join(pairs)}</p>'


def _marked(text: str, begin: int, span: tuple[int, int]) -> str:
    """Escape text that stands at `begin` in the document, with what lies in the span marked."""
    low = min(max(span[0] - begin, 0), len(text))
    high = min(max(span[1] - begin, low), len(text))
    before, inside, after = (html.escape(part) for part in (text[:low], text[low:high], text[high:]))
    return f'{before}<mark class="dm-hit">{inside}</mark>{after}' if inside.strip() else before + inside + after
