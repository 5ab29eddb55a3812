"""Training rows: conversational prompt and completion as TRL reads them, with where they come from. Plain data.

One row a line of `train.jsonl` and `held_out.jsonl`. `prompt` are the messages that the server would send
(`finetune.prompt`), `completion` is the house's answer. Rows of one passage set follow each other, so that the trainer
can read what they have in common once.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from finetune.curation.pairs import Evidence, Kind
from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.workspace import write_atomic


@dataclass(frozen=True, slots=True)
class Row:
    """One training example. `passages` is how many the prompt holds, `docs` are all documents that it quotes.

    `access` has the groups that may read, for each of these documents: whoever is served by what was trained on the row
    must be in one of each. `question` is what was asked, without passages.
    """

    id: str
    kind: Kind
    style: str
    prompt: tuple[Turn, ...]
    completion: tuple[Turn, ...]
    question: str
    passages: int
    evidence: tuple[Evidence, ...]
    docs: tuple[str, ...]
    access: tuple[tuple[str, ...], ...]
    teacher: str

    @property
    def answer(self) -> str:
        """The completion's text."""
        return self.completion[0]["content"]


_ROW = TypeAdapter(Row)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines).encode())


def read_rows(path: Path) -> list[Row]:
    """Read rows and check each.

    Raises:
        DeskmateError: no such file, no rows, or a line that is no row (broken JSON, no user turn last in the prompt, no
            single assistant turn as completion, an answer from passages without evidence); with file and line.
    """
    rows = []
    for number, data in read_jsonl(path):
        try:
            row = _ROW.validate_python(data)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DeskmateError(f"{path}:{number}: no training row ({problems})") from None
        if problem := _problem(row):
            raise DeskmateError(f"{path}:{number}: {problem}")
        rows.append(row)
    if not rows:
        raise DeskmateError(f"{path} holds no row")
    return rows


def _problem(row: Row) -> str:
    if not row.prompt or row.prompt[-1]["role"] != "user":
        return "the prompt does not end with a user's turn"
    if [turn["role"] for turn in row.completion] != ["assistant"] or not row.answer.strip():
        return "the completion is not one turn of the assistant with text in it"
    grounded = row.kind not in (Kind.NEAR_MISS, Kind.OUT_OF_SCOPE, Kind.GENERAL, Kind.OWN)
    return "an answer from passages without evidence" if grounded and not row.evidence else ""
