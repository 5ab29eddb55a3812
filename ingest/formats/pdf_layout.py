"""From runs of words on a page to what they form: paragraphs, and rows of cells. Knows places, no files.

Programs draw a page in reading order, a table cell by cell, columns one after the other. So the order of drawing is
followed, and places only tell what belongs together.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingest.formats.pdf_lines import Page, Run

OFTEN = 0.04
"""Share of lines that end in a hyphen from which a document was hyphenated by a program."""
_AROUND = ".,;:!?()[]\"'“”‘’"
SENTENCE_END = (".", "!", "?", ":", ";", '"', "”")


@dataclass(frozen=True, slots=True)
class Measures:
    """What is usual in a document: the size of its text, and the distance of lines in font sizes."""

    size: float
    leading: float


@dataclass(slots=True)
class Blob:
    """Runs one below the other that belong together: a paragraph, a heading, an item or a cell."""

    runs: list[Run]

    @property
    def left(self) -> float:
        """The left edge, in points."""
        return min(run.left for run in self.runs)

    @property
    def right(self) -> float:
        """The right edge, in points."""
        return max(run.right for run in self.runs)

    @property
    def top(self) -> float:
        """The first baseline."""
        return self.runs[0].bottom

    @property
    def bottom(self) -> float:
        """The last baseline."""
        return self.runs[-1].bottom

    @property
    def size(self) -> float:
        """The font size of the first line, in points."""
        return self.runs[0].size

    @property
    def bold(self) -> bool:
        """Whether all of it is bold."""
        return all(run.bold for run in self.runs)


Row = list[Blob]
"""Cells beside each other, from the left; a row of one is a paragraph."""


def measure(pages: Sequence[Page]) -> Measures:
    """Find the size of most characters, and the usual distance of lines of that size."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for run in page.runs:
            sizes[run.size] += len(run.text)
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    steps: Counter[float] = Counter()
    for page in pages:
        for one, other in pairwise(page.runs):
            step = (one.bottom - other.bottom) / size
            if (
                abs(one.size - size) < 0.5
                and abs(other.size - size) < 0.5
                and 0.9 < step < 3
                and abs(one.left - other.left) < 2
            ):
                steps[round(step, 1)] += 1
    return Measures(size, max(steps.most_common(1)[0][0], 1.1) if steps else 1.25)


def rows(page: Page, measures: Measures) -> list[Row]:
    """Find what a page's runs form, in reading order."""
    blobs: list[Blob] = []
    for run in _column_by_column(page):
        if blobs and _belongs(blobs[-1], run, measures):
            blobs[-1].runs.append(run)
        else:
            blobs.append(Blob([run]))
    return _merge_continued(_beside(blobs), measures)


def _belongs(blob: Blob, run: Run, measures: Measures) -> bool:
    """Whether a run is the next line of a blob."""
    last = blob.runs[-1]
    step = last.bottom - run.bottom
    if abs(last.size - run.size) > 0.6 or not 0.5 * run.size < step < 1.2 * measures.leading * run.size:
        return False
    aligned = abs(last.left - run.left) < max(4 * run.size, 40)
    centred = abs((last.left + last.right) - (run.left + run.right)) < 6
    beside = run.left > last.right or run.right < blob.left
    if beside or not (aligned or centred):
        return False
    if last.bold != run.bold:
        # Bold words may fill a line inside a paragraph; a heading is short, or follows a full stop.
        short = last.right < run.left + 0.75 * max(run.right - run.left, 1)
        return not (short or last.text.endswith(SENTENCE_END))
    return True


def _beside(blobs: list[Blob]) -> list[Row]:
    """Put blobs that are drawn after each other and begin on one line into one row."""
    found: list[Row] = []
    for blob in blobs:
        if found:
            row = found[-1]
            level = abs(row[0].top - blob.top) < 0.5 * min(row[0].size, blob.size)
            if level and all(blob.left > cell.right or blob.right < cell.left for cell in row):
                row.append(blob)
                continue
        found.append([blob])
    # Two texts of many lines side by side are columns, read one after the other.
    parted: list[Row] = []
    for row in found:
        if len(row) > 1 and all(len(cell.runs) >= 7 for cell in row):
            parted += [[cell] for cell in row]
        else:
            parted.append(sorted(row, key=lambda cell: cell.left))
    return parted


def _merge_continued(found: list[Row], measures: Measures) -> list[Row]:
    """Join the second lines of cells to their row where a table was drawn line by line, not cell by cell.

    Such a line lacks the first column and follows closely. Each part goes to the cell that it stands below.
    """
    merged: list[Row] = []
    for row in found:
        above = merged[-1] if merged else []
        if len(above) > 1 and row[0].left > above[0].right and all(cell.size == above[0].size for cell in row):
            gap = min(cell.bottom for cell in above) - row[0].top
            targets = [_below(cell, above) for cell in row]
            if 0 < gap < 1.35 * row[0].size and None not in targets and len(set(targets)) == len(targets):
                for cell, target in zip(row, targets, strict=True):
                    if target is not None:
                        above[target].runs.extend(cell.runs)
                continue
        merged.append(row)
    return merged


def _below(cell: Blob, above: Row) -> int | None:
    """The index of the cell that another stands below."""
    for at, upper in enumerate(above):
        figures = upper.runs[-1].text[-1:].isdigit() and cell.runs[-1].text[-1:].isdigit()
        right = figures and abs(upper.right - cell.right) < 4
        if right or abs(upper.left - cell.left) < 4 or abs((upper.left + upper.right) - (cell.left + cell.right)) < 6:
            return at
    return None


def as_tables(layout: Sequence[Row]) -> list[list[list[Blob | None]]]:
    """Part rows of cells into tables, and give every row a place for each column of its table.

    A table ends where columns begin elsewhere. A cell that is missing, as over the labels on the left, is None.
    """
    tables: list[list[Row]] = []
    for row in layout:
        if tables and _fits(row, max(tables[-1], key=len)):
            tables[-1].append(row)
        else:
            tables.append([row])
    return [[_placed(row, max(table, key=len)) for row in table] for table in tables]


def _fits(row: Row, widest: Row) -> bool:
    """Whether a row's cells stand in the columns of a table."""
    few, many = sorted((row, widest), key=len)
    return all(_below(cell, many) is not None for cell in few) or (len(few) == len(many) and len(many) > 2)


def _placed(row: Row, widest: Row) -> list[Blob | None]:
    places = [_below(cell, widest) for cell in row]
    if len(row) == len(widest) or None in places or len(set(places)) < len(places):
        return list(row)
    out: list[Blob | None] = [None] * len(widest)
    for cell, place in zip(row, places, strict=True):
        if place is not None:
            out[place] = cell
    return out


def _column_by_column(page: Page) -> list[Run]:
    """The page's runs, with two columns of text that were drawn line by line across put one after the other."""
    runs = list(page.runs)
    pairs = [
        (at, one, other)
        for at, (one, other) in enumerate(pairwise(runs))
        if abs(one.bottom - other.bottom) < 2 and other.left > one.right
    ]
    if len(pairs) < 8:
        return runs
    gutter = statistics.median(other.left for _, _, other in pairs)
    lefts = [one for _, one, other in pairs if abs(other.left - gutter) < 3]
    rights = [other for _, _, other in pairs if abs(other.left - gutter) < 3]
    if len(lefts) < 0.8 * len(pairs):
        return runs
    # Prose fills its column: long lines, nearly all of them to the right edge. Cells of a table do not.
    for column in (lefts, rights):
        edge = max(run.right for run in column) - min(run.left for run in column)
        full = sum(1 for run in column if run.right - run.left > 0.8 * edge)
        if statistics.median(len(run.text) for run in column) < 25 or full < 0.6 * len(column):
            return runs
    return _bands(runs, gutter)


def _bands(runs: list[Run], gutter: float) -> list[Run]:
    """Left column, then right column, between lines that go across both."""
    out: list[Run] = []
    left: list[Run] = []
    right: list[Run] = []
    for run in runs:
        if run.left < gutter - 3 and run.right > gutter:
            out += [*left, *right, run]
            left, right = [], []
        elif run.left < gutter - 3:
            left.append(run)
        else:
            right.append(run)
    return [*out, *left, *right]


@dataclass(frozen=True, slots=True)
class Hyphens:
    """What tells a word broken at the end of a line from one with a hyphen of its own ("thirty-" / "first").

    `words` are the document's words in small letters. `broken` says whether so many of its lines end in a hyphen that
    it was hyphenated by a program.
    """

    words: frozenset[str]
    broken: bool

    @classmethod
    def of(cls, pages: Sequence[Page]) -> "Hyphens":
        """Learn a document's words and ways."""
        runs = [run for page in pages for run in page.runs]
        words = (word.strip(_AROUND).lower() for run in runs for word in run.text.split())
        long = [run for run in runs if len(run.text) > 20]
        ends = sum(1 for run in long if _ends_in_hyphen(run))
        return cls(frozenset(words), ends >= OFTEN * len(long))

    def keeps(self, head: str, tail: str) -> bool:
        """Whether the two parts of a word at a line's end keep the hyphen between them."""
        head, tail = head.strip(_AROUND).lower(), tail.strip(_AROUND).lower()
        if head + tail in self.words:
            return False
        return f"{head}-{tail}" in self.words or not self.broken


def _ends_in_hyphen(run: Run) -> bool:
    return run.broken or (len(run.text) > 1 and run.text[-1] in "-‐" and run.text[-2].isalpha())


def join_lines(runs: Sequence[Run], hyphens: Hyphens) -> str:
    """The flowing text of lines. A word broken at a line's end is joined."""
    text = ""
    for run, after in zip(runs, [*runs[1:], None], strict=True):
        text += run.text
        if after is None:
            break
        broken = _ends_in_hyphen(run)
        if not broken or not after.text[:1].islower():
            text += "-" if run.broken else ""
            text += "" if broken else " "
            continue
        text = text.removesuffix("-").removesuffix("‐")
        if hyphens.keeps(text.rsplit(" ", 1)[-1], after.text.split(" ", 1)[0]):
            text += "-"
    return text


def without_leaders(run: Run) -> Run:
    """A run without the dots that lead to a page number."""
    text = run.text
    for dots in ("....", ". . . ."):
        while dots in text:
            text = text.replace(dots, " ")
    return replace(run, text=" ".join(text.split()))
