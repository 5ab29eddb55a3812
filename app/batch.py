"""Question files in, result files out. A file appears whole; a run that was stopped goes on where it stopped."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.answer import Mode
from app.console import answer_json, search_json, track
from app.desk import Desk
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.workspace import fsync_file, fsync_folder

SEARCH_BATCH = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of a question file, as far as asking needs it."""

    id: str
    question: str


def read_questions(path: Path) -> list[Asked]:
    """Read `{"id", "question", …}` lines.

    Raises:
        DeskmateError: no such file, broken JSON, a missing or repeated id, no questions; with file and line.
    """
    questions: dict[str, Asked] = {}
    for number, data in read_jsonl(path):
        if not isinstance(data.get("id"), str) or not isinstance(data.get("question"), str):
            raise DeskmateError(f'{path}:{number}: a question needs "id" and "question", both text')
        if data["id"] in questions:
            raise DeskmateError(f"{path}:{number}: the id {data['id']!r} has been used before")
        questions[data["id"]] = Asked(data["id"], data["question"])
    if not questions:
        raise DeskmateError(f"{path} holds no question")
    return list(questions.values())


def search_batch(desk: Desk, questions: Path, out: Path, k: int, groups: frozenset[str]) -> int:
    """Search for every question; one line each, in their order. Returns the number of lines."""
    asked = read_questions(questions)
    partial = _partial(out)
    with open(partial, "w", encoding="utf-8") as file:
        for first in track(range(0, len(asked), SEARCH_BATCH), "Searching"):
            batch = asked[first : first + SEARCH_BATCH]
            results = desk.searcher.search_batch([one.question for one in batch], k=k, groups=groups)
            for one, result in zip(batch, results, strict=True):
                file.write(json.dumps({"id": one.id, **search_json(result)}, ensure_ascii=False) + "\n")
    _publish(partial, out)
    return len(asked)


def ask_batch(desk: Desk, questions: Path, out: Path, mode: Mode, groups: frozenset[str]) -> int:
    """Answer every question; one line each, in their order. Returns the number of lines."""
    asked = read_questions(questions)
    desk.model.load()
    partial = _partial(out)
    done = _resume(partial, desk, mode)
    with open(partial, "w", encoding="utf-8") as file:
        for one in track(asked, "Answering"):
            line = done.get(one.id)
            if line is None or line["question"] != one.question:
                line = {"id": one.id, **answer_json(desk.answer(one.question, mode=mode, groups=groups))}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
    _publish(partial, out)
    return len(asked)


def _resume(partial: Path, desk: Desk, mode: Mode) -> dict[str, dict[str, Any]]:
    """The answers that a stopped run left, as far as the same model gave them from the same generation."""
    if not partial.exists():
        return {}
    done = {}
    for line in partial.read_text("utf-8").splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            break  # the line that was being written when the run stopped
        if (data["mode"], data["model"], data["generation"]) == (mode, desk.model.name, desk.store.current_name()):
            done[data["id"]] = data
    return done


def _partial(out: Path) -> Path:
    if not out.parent.is_dir():
        raise DeskmateError(f"there is no folder {out.parent} to write {out.name} to; make it first")
    return out.with_name(f"{out.name}.partial")


def _publish(partial: Path, out: Path) -> None:
    fsync_file(partial)
    partial.replace(out)
    fsync_folder(out.parent)
