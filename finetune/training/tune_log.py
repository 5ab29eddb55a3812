"""What a tuning run says of itself: what it is going to do, every step, every evaluation. Kept as `log.jsonl`.

Plain data; knows no trainer and no screen.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from finetune.training.packing import Step
from ingest.workspace import write_atomic

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to do. `tokens` are read, `unshared` are those of the rows one by one; of all epochs."""

    steps: int
    rows: int
    left_out: int
    """Rows, of those to tune on and held out, that are longer than the context."""
    tokens: int
    unshared: int
    trainable: int
    parameters: int
    resumed_at: int = 0


@dataclass(frozen=True, slots=True)
class StepFigures:
    """A step that was made. `seconds` are its own, without evaluations."""

    step: int
    loss: float
    learning_rate: float
    gradient: float
    tokens: int
    unshared: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Tokens read a second, none of them padding."""
        return self.tokens / self.seconds

    @property
    def unshared_per_s(self) -> float:
        """Tokens of its rows a second, as if each had been read by itself."""
        return self.unshared / self.seconds


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation, at step 0 of the base: the loss on held-out rows, and the score, where there are such."""

    step: int
    held_out_loss: float | None
    score: float | None
    seconds: float


class Watch(Protocol):
    """Is told how the run goes."""

    def begins(self, plan: Plan) -> None:
        """Everything is loaded and checked."""

    def stepped(self, step: StepFigures) -> None:
        """A step was made."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """An evaluation was made."""


class Unwatched:
    """For those who do not look."""

    def begins(self, plan: Plan) -> None:
        """Say nothing."""

    def stepped(self, step: StepFigures) -> None:
        """Say nothing."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a run in order."""

    steps: tuple[StepFigures, ...]
    evaluations: tuple[Evaluation, ...]

    def until(self, step: int) -> "Log":
        """What was made up to a step."""
        return Log(
            tuple(one for one in self.steps if one.step <= step),
            tuple(one for one in self.evaluations if one.step <= step),
        )


def read_log(path: Path) -> Log:
    """Read a log; a line that was being written when the run was killed is left out."""
    steps: list[StepFigures] = []
    evaluations: list[Evaluation] = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if "held_out_loss" in data:
            evaluations.append(Evaluation(**data))
        else:
            steps.append(StepFigures(**data))
    return Log(tuple(steps), tuple(evaluations))


class Logger:
    """Writes the log of a run and tells the watch."""

    def __init__(self, path: Path, steps: Sequence[Step], watch: Watch) -> None:
        self._path = path
        self._steps = steps
        self._watch = watch
        self._begun = 0.0
        self._seconds = 0.0

    def start(self, done: int) -> None:
        """Keep the lines of the steps that a checkpoint holds, drop those of the steps that will be made again."""
        log = read_log(self._path).until(done if done else -1)
        lines: list[StepFigures | Evaluation] = [*log.steps, *log.evaluations]
        lines.sort(key=lambda one: (one.step, isinstance(one, Evaluation)))
        write_atomic(self._path, "".join(map(_line, lines)).encode())

    def begin(self) -> None:
        """A step begins."""
        self._begun = time.perf_counter()

    def end(self) -> None:
        """A step has ended."""
        self._seconds = time.perf_counter() - self._begun

    def stepped(self, number: int, loss: float, learning_rate: float, gradient: float) -> None:
        """Write a step down."""
        packs = list(self._steps[number - 1].packs)
        step = StepFigures(
            step=number,
            loss=loss,
            learning_rate=learning_rate,
            gradient=gradient,
            tokens=sum(pack.tokens for pack in packs),
            unshared=sum(pack.unshared for pack in packs),
            seconds=round(self._seconds, 6),
        )
        self._append(step)
        self._watch.stepped(step)

    def evaluated(self, number: int, loss: float | None, score: float | None, seconds: float) -> None:
        """Write an evaluation down."""
        evaluation = Evaluation(number, loss, score, round(seconds, 3))
        self._append(evaluation)
        self._watch.evaluated(evaluation)

    def _append(self, entry: StepFigures | Evaluation) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(_line(entry))


def _line(entry: StepFigures | Evaluation) -> str:
    return json.dumps(asdict(entry)) + "\n"
