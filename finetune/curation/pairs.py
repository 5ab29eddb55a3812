"""Question-answer pairs on their way from a teacher to a training set, and how they lie on disk. Plain data."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.workspace import write_atomic


class Kind(StrEnum):
    """What a pair teaches."""

    FACT = "fact"
    PROCEDURE = "procedure"
    TABLE = "table"
    POLICY = "policy"
    COMPARISON = "comparison"
    TWO_PASSAGES = "two-passages"
    FOLLOW_UP = "follow-up"
    NEAR_MISS = "near-miss"
    OUT_OF_SCOPE = "out-of-scope"
    PLANTED = "planted-instruction"
    GENERAL = "general"
    OWN = "own"


UNANSWERABLE = frozenset({Kind.NEAR_MISS, Kind.OUT_OF_SCOPE})
"""Kinds whose right answer is the house's refusal."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A verbatim span of a chunk: `document.text[start:end] == text`."""

    doc: str
    chunk_id: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with its answer in the house form, before any passage is retrieved for it.

    `answer` cites its evidence by its place in `evidence`, from 1, in the voice's citation form; the data set builder
    turns these numbers into those of the passages. It is the house's refusal for `UNANSWERABLE` kinds, whose evidence
    is empty and whose `doc` is the document they were made from (none for what is out of scope). `access` are the
    labels of that document. `history` are the turns before a follow-up. `planted` is text that stands in a passage as
    if it were an instruction, and that the right answer ignores. General replay and a company's own pairs may be
    without evidence.
    """

    id: str
    kind: Kind
    style: str
    question: str
    answer: str
    doc: str
    evidence: tuple[Evidence, ...] = ()
    access: frozenset[str] = frozenset()
    history: tuple[Turn, ...] = ()
    planted: str = ""
    teacher: str = ""

    @property
    def answerable(self) -> bool:
        """Whether the right answer is something else than the house's refusal."""
        return self.kind not in UNANSWERABLE


_PAIR = TypeAdapter(Pair)


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs as JSON lines, whole or not at all."""
    write_atomic(path, "".join(pair_line(pair) for pair in pairs).encode())


def pair_line(pair: Pair) -> str:
    """A pair as a line of JSON."""
    return json.dumps(asdict(pair) | {"access": sorted(pair.access)}, ensure_ascii=False) + "\n"


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs.

    Raises:
        DeskmateError: no such file, or a line that is no pair; with file and line.
    """
    return [_pair(path, number, data) for number, data in read_jsonl(path)]


def _pair(path: Path, number: int, data: dict[str, Any]) -> Pair:
    try:
        return _PAIR.validate_python(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DeskmateError(f"{path}:{number}: no question-answer pair ({problems})") from None
