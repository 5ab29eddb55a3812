"""Question sets: read, and refused when they cannot be measured with."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl


class _Line(BaseModel):
    """A line of a question set, as DESIGN section 6 has it; what else stands there is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answerable: bool
    gold_docs: list[str] = []
    answer: str = ""
    key_facts: list[list[str]] = []
    kind: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what a right answer is known by.

    `key_facts` are groups of alternatives; a group is met by one of them. For the kind `restricted` they are what
    must not be told.
    """

    id: str
    question: str
    answerable: bool
    gold_docs: tuple[str, ...]
    answer: str
    key_facts: tuple[tuple[str, ...], ...]
    kind: str
    style: str

    @property
    def cluster(self) -> str:
        """What the question depends on: questions about one document are not independent of each other."""
        return self.gold_docs[0] if self.gold_docs else self.id


def read_question_set(path: Path) -> list[Question]:
    """Read a question set.

    Raises:
        DeskmateError: no file, no questions, a line that does not fit, a repeated id; with file and line.
    """
    questions: dict[str, Question] = {}
    for number, data in read_jsonl(path):
        try:
            line = _Line(**data)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DeskmateError(f"{path}:{number}: {problems}") from None
        if line.id in questions:
            raise DeskmateError(f"{path}:{number}: the id {line.id!r} has been used before")
        facts = tuple(tuple(group) for group in line.key_facts)
        questions[line.id] = Question(
            line.id, line.question, line.answerable, tuple(line.gold_docs), line.answer, facts, line.kind, line.style
        )
    if not questions:
        raise DeskmateError(f"{path} holds no question")
    return list(questions.values())
