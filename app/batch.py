"""Question files in, result files out. A file appears whole; a run that was stopped goes on where it stopped."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from app.answering.modes import Mode
from app.console import answer_json, search_json, track
from app.desk import Desk
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.workspace import explain_disk_error, fsync_file, fsync_folder, write_atomic
from retrieval.search import check_question

SEARCH_BATCH = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of a question file, as far as asking needs it."""

    id: str
    question: str


def read_questions(path: Path) -> list[Asked]:
    """Read `{"id", "question", …}` lines.

    Raises:
        DeskmateError: no such file, broken JSON, a missing or repeated id, what is no question, or none at all; with
            file and line.
    """
    questions: dict[str, Asked] = {}
    for number, data in read_jsonl(path):
        if not isinstance(data.get("id"), str) or not isinstance(data.get("question"), str):
            raise DeskmateError(f'{path}:{number}: a question needs "id" and "question", both text')
        if data["id"] in questions:
            raise DeskmateError(f"{path}:{number}: the id {data['id']!r} has been used before")
        try:
            check_question(data["question"])
        except DeskmateError as error:
            raise DeskmateError(f"{path}:{number}: {error}") from None
        questions[data["id"]] = Asked(data["id"], data["question"])
    if not questions:
        raise DeskmateError(f"{path} holds no question")
    return list(questions.values())


def search_batch(desk: Desk, questions: Path, out: Path, k: int | None, groups: frozenset[str]) -> int:
    """Search for every question; one line each, in their order. Returns the number of lines."""
    asked = read_questions(questions)
    partial = _partial(out)
    with _writing(out):
        with open(partial, "wb") as file:
            for first in track(range(0, len(asked), SEARCH_BATCH), "Searching"):
                batch = asked[first : first + SEARCH_BATCH]
                results = desk.searcher.search_batch([one.question for one in batch], k=k, groups=groups)
                file.write(_lines({"id": a.id, **search_json(r)} for a, r in zip(batch, results, strict=True)))
        fsync_file(partial)
        partial.replace(out)
        fsync_folder(out.parent)
    return len(asked)


def ask_batch(desk: Desk, questions: Path, out: Path, mode: Mode | None, groups: frozenset[str]) -> int:
    """Answer every question; one line each, in their order. Returns the number of lines."""
    asked = read_questions(questions)
    how = desk.serving.decide(mode, groups)
    desk.model.load(how.adapter)
    run = {
        "mode": how.mode,
        "adapter": how.adapter and how.adapter.checksum,
        "groups": sorted(groups),
        **answered_by(desk),
    }
    with _writing(out), Journal(_partial(out), run) as journal:
        for one in track(asked, "Answering"):
            if (journal.get(one.id) or {}).get("question") != one.question:
                journal.add({"id": one.id, **answer_json(desk.answer(one.question, mode=how.mode, groups=groups))})
        journal.write(out, [one.id for one in asked])
        journal.remove()
    return len(asked)


def answered_by(desk: Desk) -> dict[str, Any]:
    """All that an answer depends on besides the mode, the adapter and the asker."""
    return {
        "model": desk.model.name,
        "weights": asdict(desk.weights),
        "generation": desk.store.current_name(),
        "settings": desk.settings.model_dump(mode="json", include={"retrieval", "model", "chat"}),
    }


class Journal:
    """Answers of one run on disk, a line each as they come, so that a run that was stopped goes on where it stopped.

    The first line says what the run is; the answers of another run are not taken over.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self._path = path
        self._done = journal_lines(path, run)
        write_atomic(path, _lines([run, *self._done.values()]))

    def __enter__(self) -> Self:
        self._file = open(self._path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, id: str) -> dict[str, Any] | None:
        """The answer to a question, by its id."""
        return self._done.get(id)

    def add(self, line: dict[str, Any]) -> None:
        """Keep an answer. A process that is killed after this returns has lost nothing."""
        self._file.write(_lines([line]))
        self._file.flush()
        self._done[line["id"]] = line

    def write(self, out: Path, ids: Sequence[str]) -> None:
        """Write the answers in this order to `out`, whole."""
        write_atomic(out, _lines(self._done[id] for id in ids))

    def remove(self) -> None:
        """Remove the journal, whose work is done."""
        self._path.unlink()


def journal_lines(partial: Path, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The answers that a stopped run left, by id, if it was this one: its first line says what it was and with what."""
    if not partial.exists():
        return {}
    found = []
    for line in partial.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # the line that was being written when the run stopped
    return {data["id"]: data for data in found[1:]} if found[:1] == [run] else {}


def _lines(values: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say what is wrong when the disk refuses."""
    try:
        yield
    except OSError as error:
        raise explain_disk_error(error, f"writing {out}") from error


def _partial(out: Path) -> Path:
    if not out.parent.is_dir():
        raise DeskmateError(f"there is no folder {out.parent} to write {out.name} to; make it first")
    return out.with_name(f"{out.name}.partial")
