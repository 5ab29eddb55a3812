"""Documents into chunks that follow their structure. Knows blocks and a token counter; knows no model.

A chunk is a contiguous span of the document's normalised text, so `text[start:end]` is the chunk. Sections are
packed whole while they fit; a block that is too long is cut by langchain-text-splitters at the best boundary.
"""

import bisect
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ingest.records import Block, BlockKind, Chunk, Parsed, embedded_text

TRAIL = " › "
"""Joins the headings above a chunk."""

SMALL = 0.35
"""A section shorter than this part of a full chunk is packed together with the section after it."""

MOST_CHARS_A_TOKEN = 8
"""A longer token is counted as several: WordPiece makes one unknown token of a base64 string of any length."""

Offsets = Callable[[str], Sequence[tuple[int, int]]]
"""Tokenizes a text, without special tokens: the character span of every token."""

CUTS = ["\n\n", "\n", r"(?<=[.!?…。！？])\s+", r"(?<=[;:])\s+", r"\s+", ""]
"""Where a long block may be cut, best first, as regular expressions (langchain's `is_separator_regex`)."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the document under one heading trail, on the way to becoming a chunk."""

    start: int
    end: int
    trail: tuple[str, ...]
    page: int | None


class TokenCounter:
    """Counts the tokens of any span of one text from a single tokenization of it."""

    def __init__(self, text: str, offsets: Offsets) -> None:
        self._starts = [start for start, _ in offsets(text)]

    def __call__(self, start: int, end: int) -> int:
        """Tokens that begin in `[start, end)`, or more where they are unnaturally long."""
        tokens = bisect.bisect_left(self._starts, end) - bisect.bisect_left(self._starts, start)
        return max(tokens, (end - start) // MOST_CHARS_A_TOKEN)


def chunk(
    parsed: Parsed, doc: str, access: frozenset[str], offsets: Offsets, *, chunk_tokens: int, window: int
) -> list[Chunk]:
    """Cut a document into chunks.

    Args:
        parsed: the document; its blocks are in reading order and cover all text but white space.
        doc: its path relative to the ingested folder; goes into the chunks' ids.
        access: the groups that may read it.
        offsets: the embedder's tokenizer.
        chunk_tokens: most tokens of a chunk's own text.
        window: most tokens the embedder reads, its special tokens not counted. Title and heading trail count too:
            they are shortened to a third of it, and the text gets what is left.

    Returns:
        Chunks in reading order. Together they cover every character that is not white space.
    """
    count = TokenCounter(parsed.text, offsets)
    title = _shorten(parsed.title, window // 6, offsets)
    seen: Counter[str] = Counter()
    chunks = []
    for span in _pack(parsed, count, chunk_tokens):
        heading = _heading(span.trail, title, window // 6, offsets)
        room = min(chunk_tokens, window - len(offsets(embedded_text(title, heading, ""))))
        for start, end in _cut(parsed.text, span.start, span.end, count, room, offsets):
            text = parsed.text[start:end]
            name = chunk_id(doc, text, seen[text])
            chunks.append(Chunk(name, doc, title, heading, span.page, start, end, text, access))
            seen[text] += 1
    return chunks


def chunk_id(doc: str, text: str, occurrence: int) -> str:
    """A stable id: 16 hexadecimal digits from the document's path, the chunk's text and which repetition it is."""
    return hashlib.sha256(f"{doc}\0{text}\0{occurrence}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _sections(parsed: Parsed) -> Iterator[list[tuple[Block, tuple[str, ...]]]]:
    """Group blocks into sections: a heading, or several without text between them, and what follows it."""
    trail: list[tuple[int, str]] = []
    section: list[tuple[Block, tuple[str, ...]]] = []
    for block in parsed.blocks:
        if block.kind is BlockKind.HEADING:
            if section and section[-1][0].kind is not BlockKind.HEADING:
                yield section
                section = []
            trail = [entry for entry in trail if entry[0] < block.level]
            trail.append((block.level, " ".join(parsed.text[block.start : block.end].split())))
        section.append((block, tuple(name for _, name in trail)))
    if section:
        yield section


def _pack(parsed: Parsed, count: TokenCounter, limit: int) -> Iterator[Span]:
    """Pack sections into spans of at most `limit` tokens where they fit; a longer section is packed block by block."""
    pending: Span | None = None
    for section in _sections(parsed):
        span = Span(section[0][0].start, section[-1][0].end, section[-1][1], section[0][0].page)
        if pending is not None:
            if count(pending.start, span.end) <= limit and count(pending.start, pending.end) < SMALL * limit:
                span = Span(pending.start, span.end, _common(pending.trail, span.trail), pending.page)
            else:
                yield pending
        pending = None
        if count(span.start, span.end) <= limit:
            pending = span
        else:
            yield from _pack_blocks(section, count, limit)
    if pending is not None:
        yield pending


def _pack_blocks(section: Sequence[tuple[Block, tuple[str, ...]]], count: TokenCounter, limit: int) -> Iterator[Span]:
    """Pack the blocks of one long section. A heading stays with the block after it."""
    start: int | None = None
    previous: Block | None = None
    page: int | None = None
    trail = section[-1][1]
    for block, _ in section:
        if start is None:
            start, page = block.start, block.page
        elif previous is not None and previous.kind is not BlockKind.HEADING and count(start, block.end) > limit:
            yield Span(start, previous.end, trail, page)
            start, page = block.start, block.page
        previous = block
    if start is not None and previous is not None:
        yield Span(start, previous.end, trail, page)


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    """The headings that two trails share."""
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return a[:shared]


def _cut(
    text: str, start: int, end: int, count: TokenCounter, room: int, offsets: Offsets
) -> Iterator[tuple[int, int]]:
    """Cut `text[start:end]` into pieces of at most `room` tokens, white space at their ends dropped."""
    if count(start, end) <= room:
        yield start, end
        return
    first = last = start
    for atom in _atoms(text[start:end], max(8, room // 5), offsets):
        begin = text.index(atom, last, end)
        if last > first and count(first, begin + len(atom)) > room:
            yield first, last
            first = begin
        last = begin + len(atom)
    yield first, last


def _atoms(text: str, most: int, offsets: Offsets) -> list[str]:
    """Lines, sentences or clauses of at most `most` tokens, by langchain's recursive splitter.

    They are put together again by `_cut`, which leaves no stubs: the splitter alone makes a chunk of a heading
    before a long table, or of the last three words before a long sentence.
    """
    # Here and not above: it takes a third of a second to import, and many documents need no cut inside a block.
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=CUTS,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=most,
        chunk_overlap=0,
        length_function=lambda piece: max(len(offsets(piece)), len(piece) // MOST_CHARS_A_TOKEN),
    )
    return [piece for piece in splitter.split_text(text) if piece]


def _heading(trail: tuple[str, ...], title: str, most: int, offsets: Offsets) -> str:
    """Join the trail below the title; drop the outer headings, then shorten, until it has at most `most` tokens."""
    names = trail[1:] if trail and trail[0] == title else trail
    while len(names) > 1 and len(offsets(TRAIL.join(names))) > most:
        names = names[1:]
    return _shorten(TRAIL.join(names), most, offsets)


def _shorten(text: str, most: int, offsets: Offsets) -> str:
    """The beginning of a text, at most `most` tokens of it."""
    spans = offsets(text)
    if len(spans) <= most:
        return text[: most * MOST_CHARS_A_TOKEN]
    return text[: spans[most][0]].rstrip()
