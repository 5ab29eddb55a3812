"""What a report is made of, before it is HTML or Markdown: sections of tables, charts, facts and answers. Plain data.

Text is as it came; whoever renders it escapes it. `mark`, `svg` and `bar` are drawings made by `eval.reporting.charts`.
"""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "note", "good", "bad"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure: its value, its interval in small, a drawing of both, and whether it is surely the best of its row."""

    text: str
    note: str = ""
    mark: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is called, what that means in small, and a cell for every column."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of a table that belong together; without a title they stand alone."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `series` is the number of the mode whose figures it holds, which gives it its colour and shape."""

    name: str
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in lines and columns. `first` heads the names of the lines; with `fold` it is shut until opened."""

    caption: str
    first: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    fold: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with what it says in words, the modes in it, and the same figures as a table."""

    title: str
    says: str
    svg: str
    table: Table
    legend: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the section's own."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with values; with `fold` it is shut until opened."""

    rows: tuple[tuple[str, str], ...]
    fold: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """A command to be typed."""

    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage, or the words of one that a citation rests on."""

    n: int
    doc: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What one mode answered. `facts` is the share of the key facts in it, `confidence` the chance that it is right."""

    mode: str
    series: int
    answer: str
    refused: bool
    facts: float | None
    confidence: float | None
    citations: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A question on which the modes disagree, with the right answer and the passages that were found."""

    name: str
    question: str
    kind: str
    why: str
    gold: str
    gold_docs: tuple[str, ...]
    replies: tuple[Reply, ...]
    passages: tuple[Quote, ...]


Block = Table | Chart | Text | Heading | Facts | Code | Case


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading; one without blocks is left out."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether an adapter, by what it is called, may serve; why; and `where` that was decided."""

    allowed: bool
    who: str
    reasons: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report. `kicker` stands over the verdict; `about` is a line of facts under it; `made` ends the page."""

    title: str
    kicker: str
    verdict: str
    about: tuple[tuple[str, str], ...]
    gate: Gate | None
    sections: tuple[Section, ...]
    made: str
