"""Questions about the rows of tables: a cell asked for by its row and column, two cells compared. Asks no model.

Reads both forms that ingestion gives tables: rows of cells below a header, and records of `column: value`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from finetune.curation.pairs import Kind
from finetune.synthesis.drafts import Corpus, Draft, cited, evidence, plain_heading
from finetune.synthesis.english import lower_first, upper_first
from finetune.voice import Voice
from ingest.records import Chunk

_PAIR = re.compile(r"^([A-Z][^:|]{0,48}):\s(.+)$")
_EMPTY = re.compile(r"^(?:[–—-]|n/?a|none given|\?|x|yes|no|yes/no|ja|nein|•|)$", re.IGNORECASE)
_ANY = re.compile(
    r"^(?:others?|anything|everything(?: else)?|total|all|general|various|misc|rest|the rest)\b", re.IGNORECASE
)
_UNIT = re.compile(r"\s*\([^()]*\)")
_PERSON = re.compile(
    r"\b(?:owner|approver|holder|manager|contact|lead|head|responsible|author|person|deputy|trainer|coach|officer|"
    r"buyer|speaker|chair|agent)$",
    re.IGNORECASE,
)
_PREDICATE = re.compile(
    r"^(?:\w+(?:ed|able|en)|kept|good|free|open|sold|paid|due|meant|sent) (?:for|by|to|at|in|from|after|until|with|"
    r"on|via)$",
    re.IGNORECASE,
)
_REMARK = re.compile(r"^(?:remarks?|notes?|comments?|details?|description|explanation|info)$", re.IGNORECASE)
_WHO = re.compile(r"^(?:who|whom|for whom|who can|who gets)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"^(?:what|how|why|where|when|which|you|we|on|in|at|after|before|until|taken|kept|used|ask|made|goes?|is|are|"
    r"do|can|must|may|and|or|(?:last|next|first)(?! \w+$)|\w+ (?:after|before|at|by|to|of|for|from|in|on|with)$)\b",
    re.IGNORECASE,
)
_ACTION = re.compile(
    r"^(?:what (?:you|to|we) do|what you do|action|remedy|solution|fix|what to do|measure|do this|your task)$",
    re.IGNORECASE,
)
_QUESTION_HEADERS = {
    "what happens": ("What happens in the case of {row}?", "In the case of {row}: {cell}"),
    "where": ("Where do I find {row}?", "For {row} the place is: {cell}"),
    "place": ("Where is {row}?", "The place of {row} is {cell}"),
    "when": ("When is it the time for {row}?", "For {row} the time is: {cell}"),
    "meaning": ("What does {row} mean?", "The meaning of {row} is: {cell}"),
    "cause": ("What is the cause of {row}?", "The cause of {row} is: {cell}"),
    "for whom": ("Who is {row} meant for?", "{row} is meant for: {cell}"),
    "for": ("What is {row} for?", "{row} is for: {cell}"),
    "purpose": ("What is {row} for?", "The purpose of {row} is: {cell}"),
    "open": ("When is {row} open?", "{row} is open {cell}"),
    "opening hours": ("When is {row} open?", "The opening hours of {row} are {cell}"),
    "who": ("Who is named for {row}?", "For {row} it is {cell}"),
    "number": ("How many are there of {row}?", "The number of {row} is {cell}"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its key, and its cells by column, with its place in the chunk."""

    start: int
    end: int
    key: str
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under the same columns."""

    chunk: Chunk
    key_column: str
    rows: tuple[Row, ...]


def tables(chunk: Chunk) -> list[Table]:
    """The tables of a chunk whose columns are named."""
    found, run = [], []
    at = 0
    for line in [*chunk.text.split("\n"), ""]:
        if " | " in line and not line.startswith("|"):
            run.append((at, at + len(line), line))
        elif run:
            found.append(_table(chunk, run))
            run = []
        at += len(line) + 1
    return [table for table in found if table and table.rows]


def ask_rows(table: Table, corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """A question for every cell worth one, the telling ones first."""
    for row in table.rows:
        for column in row.cells:
            if draft := ask_cell(table, row, column, corpus, voice):
                yield draft


def ask_cell(table: Table, row: Row, column: str, corpus: Corpus, voice: Voice) -> Draft | None:
    """The question for one cell; None where there is nothing to ask."""
    cell = row.cells[column]
    named = re.match(r"[A-Za-z]", column) and not re.search(r"[a-z]\d$", column)
    if column == table.key_column or not named or _EMPTY.match(cell) or len(cell.split()) > 40:
        return None
    question, answer = _wording(column, row.key, cell, corpus)
    proof = evidence(table.chunk, row.start, row.end)
    return Draft(
        Kind.TABLE, question, cited(upper_first(answer), 1, voice), (proof,), table.chunk, corpus.topic(table.chunk),
        "table", demand=_demand(cell, question), clear=_clear(row.key),
    )  # fmt: skip


def compare_rows(table: Table, corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """Two rows held against each other in a column whose values are short and differ."""
    topic = corpus.topic(table.chunk)
    for column in dict.fromkeys(name for row in table.rows for name in row.cells if name != table.key_column):
        if not _is_noun(column) or _is_name(column, corpus):
            continue
        rows = [row for row in table.rows if _comparable(row.cells.get(column, ""))]
        for one, two in pairwise(rows):
            first, second = one.cells[column], two.cells[column]
            if first.casefold() == second.casefold():
                continue
            name, full = _named(_UNIT.sub("", column), corpus), _named(column, corpus)
            a, b = lower_first(one.key, corpus.lower), lower_first(two.key, corpus.lower)
            be, they = (_verb(name), "they" if _verb(name) == "are" else "it")
            left = cited(f"The {full} for {a} {be} {first}", 1, voice)
            answer = f"{left} {cited(f'For {b} {they} {be} {second}', 2, voice)}"
            proofs = (evidence(table.chunk, one.start, one.end), evidence(table.chunk, two.start, two.end))
            variants = (
                f"What is the difference between {a} and {b} in {name}?",
                f"What {be} the {name} for {a}, and what {be} {they} for {b}?",
                f"How do {a} and {b} compare in {name}?",
            )
            question = variants[len(a + b) % 3]
            yield Draft(
                Kind.COMPARISON, question, answer, proofs, table.chunk, topic, "compare-rows", clear=_clear(one.key)
            )


def compare_columns(table: Table, corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """One row under two columns that are names of their own, such as sites."""
    topic = corpus.topic(table.chunk)
    columns = [name for name in table.rows[0].cells if name != table.key_column and _is_name(name, corpus)]
    if len(columns) < 2:
        return
    for row in table.rows:
        for left, right in pairwise(columns):
            a, b = row.cells.get(left, ""), row.cells.get(right, "")
            if not _comparable(a) or not _comparable(b) or a == b:
                continue
            key = lower_first(row.key, corpus.lower)
            proof = evidence(table.chunk, row.start, row.end)
            question = f"What is the difference between {left} and {right} for {key}?"
            answer = cited(f"For {key}, {left} has {a} and {right} has {b}", 1, voice)
            yield Draft(Kind.COMPARISON, question, answer, (proof,), table.chunk, topic, "compare-columns", clear=False)


def columns_of(table: Table) -> list[str]:
    """The names of a table's columns, the key's left out."""
    return list(dict.fromkeys(name for row in table.rows for name in row.cells if name != table.key_column))


def _wording(column: str, key: str, cell: str, corpus: Corpus) -> tuple[str, str]:
    lower = corpus.lower
    row, name, full = lower_first(key, lower), _named(_UNIT.sub("", column), corpus), _named(column, corpus)
    if special := _special(column):
        return special[0].format(row=row), special[1].format(row=row, cell=cell)
    if _REMARK.match(column):
        return f"What should I know about {row}?", f"On {row} the note is: {cell}"
    if _ACTION.match(column):
        return f"What do I do in the case of {row}?", f"In the case of {row}: {cell}"
    if _PREDICATE.match(name):
        wh = "Who" if name.endswith(" by") else "What"
        return f"{wh} is {row} {name}?", f"{row} is {name} {cell}"
    if _WHO.match(name):
        return f"{column} in the case of {row}?", f"In the case of {row}: {cell}"
    if _CLAUSE.match(name):
        return f"What does the list say on {name} for {row}?", f"{upper_first(name)}, for {row}: {cell}"
    if _is_name(column, corpus):
        return f"What is the rule on {row} for {column}?", f"For {row}, {column} has {cell}"
    verb = _verb(name)
    who = "Who" if _PERSON.search(name) and verb == "is" else "What"
    colon = ":" if ". " in cell or len(cell.split()) > 12 else ""
    return f"{who} {verb} the {name} for {row}?", f"The {full} for {row} {verb}{colon} {cell}"


def _named(column: str, corpus: Corpus) -> str:
    """A column's name as it stands inside a sentence."""
    first = column.split()[0]
    if column.isupper() and len(column) > 4:
        return column.lower()
    small = first.casefold() not in corpus.names and not first.isupper() and first[1:].islower()
    return column[:1].lower() + column[1:] if small else column


def _is_noun(column: str) -> bool:
    """Whether `the COLUMN of something` can be said."""
    return not (
        _special(column) or _REMARK.match(column) or _ACTION.match(column) or _PREDICATE.match(column)
        or _WHO.match(column) or _CLAUSE.match(column)
    )  # fmt: skip


def _special(column: str) -> tuple[str, str] | None:
    return _QUESTION_HEADERS.get(_UNIT.sub("", column).casefold().strip())


def _is_name(column: str, corpus: Corpus) -> bool:
    """Whether a column is headed by something's name, and not by what is said of the row."""
    words = re.findall(r"[^\W\d]+", column)
    named = all(
        (word.isupper() and len(word) <= 4 and word.casefold() not in corpus.lower)
        or (word[0].isupper() and word.casefold() in corpus.names)
        for word in words
    )
    return bool(words) and named


def _verb(name: str) -> str:
    """The form of be that goes with a column's name."""
    return "are" if re.search(r"[a-z]{2}[^s\W]s$", name.split(" per ")[0]) else "is"


def _comparable(cell: str) -> bool:
    return bool(cell) and not _EMPTY.match(cell) and len(cell.split()) <= 8 and ". " not in cell


def _clear(key: str) -> bool:
    return len(key.split()) >= 3 or bool(re.search(r"[A-Z].*\d|\d.*[A-Z]", key))


def _demand(cell: str, question: str) -> str:
    if question.startswith("Who"):
        return "Name the person or team."
    if match := re.fullmatch(r"\d+ ((?:working |calendar )?(?:days|hours|weeks|months|minutes|years))", cell):
        return f"Give the number of {match[1]}."
    if len(cell.split()) <= 5 and re.search(r"(?:EUR|USD|€|\$)\s?\d|\d\s?(?:EUR|USD|€)", cell):
        return "Give the exact amount."
    return ""


def _table(chunk: Chunk, run: list[tuple[int, int, str]]) -> Table | None:
    records = [_record(line) for _, _, line in run]
    if all(records):
        return _keyed(
            chunk, [(start, end, cells) for (start, end, _), cells in zip(run, records, strict=True) if cells]
        )
    rows = [[cell.strip() for cell in line.split(" | ")] for _, _, line in run]
    header = rows[0]
    if len(run) < 2 or not _is_header(header, rows[1:]):
        return None
    body = [
        (start, end, dict(zip(header, cells, strict=False)))
        for (start, end, _), cells in zip(run[1:], rows[1:], strict=True)
        if len(cells) == len(header)
    ]
    return _keyed(chunk, body)


def _record(line: str) -> dict[str, str] | None:
    pairs = [_PAIR.match(cell.strip()) for cell in line.split(" | ")]
    return {match[1]: match[2] for match in pairs if match} if len(pairs) > 1 and all(pairs) else None


def _is_header(header: list[str], rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: short, without figures, and unlike the rows below it."""
    if any(len(cell.split()) > 7 or re.search(r"\d[\d.:,]|[@€$%]", cell) for cell in header) or len(set(header)) < len(
        header
    ):
        return False
    if any(not cell for cell in header):
        return False
    if len(header) > 2:
        return not any(cell == other for row in rows for cell, other in zip(header, row, strict=False))
    right = [row[1] for row in rows if len(row) > 1]
    return len(right) > 1 and len(header[1].split()) <= 4 and all(re.search(r"\d|\s", cell) for cell in right)


def _keyed(chunk: Chunk, body: list[tuple[int, int, dict[str, str]]]) -> Table | None:
    if not body:
        return None
    key_column = next(iter(body[0][2]))
    if plain_heading(key_column).casefold() in ("date", "time", "no", "nr", "#", "id"):
        return None
    keys = Counter(cells.get(key_column, "") for _, _, cells in body)
    rows = []
    for start, end, cells in body:
        key = cells.get(key_column, "")
        if not key or _EMPTY.match(key) or _ANY.match(key) or len(key.split()) > 9 or ". " in key:
            continue
        if keys[key] > 1:
            second = next((value for name, value in cells.items() if name != key_column), "")
            if (
                len(second.split()) > 5
                or sum(second in other.values() and other.get(key_column) == key for _, _, other in body) > 1
            ):
                continue
            cells = {name: value for name, value in cells.items() if value != second}
            key = f"{key} ({second})"
        key = key.rstrip(":")
        if re.fullmatch(r"[\d.\s–-]+", key):
            key = f"{key_column.lower()} {key}"
        rows.append(Row(start, end, key, cells))
    return Table(chunk, key_column, tuple(rows))
