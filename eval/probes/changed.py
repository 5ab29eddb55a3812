"""What the probes with changed passages have in common: a fixed sample, batches, and modes that may fail."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from app.answering.answer import Answer, Edit
from app.answering.modes import RETRIEVING
from eval.contenders import Contender
from eval.run import BATCH
from eval.stats import cluster_bootstrap
from ingest.errors import DeskmateError

SAMPLE = 40
"""Most questions of a probe."""

T = TypeVar("T")


def sample(things: Sequence[T], size: int = SAMPLE) -> list[T]:
    """At most `size` of some things, evenly spread and always the same."""
    count = min(size, len(things))
    return [things[place * len(things) // count] for place in range(count)]


def reading(entrants: Sequence[Contender]) -> list[Contender]:
    """The modes that read passages."""
    return [one for one in entrants if one.mode in RETRIEVING]


def ask(entrant: Contender, questions: Sequence[str], edit: Edit) -> list[Answer]:
    """Answer questions whose passages are changed.

    Raises:
        DeskmateError: as the Answerer.
    """
    entrant.desk.model.load(entrant.adapter)
    answers: list[Answer] = []
    for first in range(0, len(questions), BATCH):
        batch = questions[first : first + BATCH]

        def change(place: int, hits: Sequence[Any], first: int = first) -> Sequence[Any]:
            return edit(first + place, hits)

        answers += entrant.desk.answerer.answer_batch(batch, mode=entrant.mode, edit=change)
    return answers


def each_mode(entrants: Sequence[Contender], probe: Callable[[Contender], dict[str, Any]]) -> dict[str, Any]:
    """Probe mode by mode; one that fails says why and the others go on."""
    found: dict[str, Any] = {}
    for one in reading(entrants):
        try:
            found[one.label] = probe(one)
        except DeskmateError as error:
            found[one.label] = {"failed": str(error)}
    return found


def share(values: Sequence[bool], clusters: Sequence[str]) -> dict[str, float | int] | None:
    """The share of a probe's questions that something holds for, with its interval."""
    estimate = cluster_bootstrap([float(value) for value in values], clusters)
    return estimate.as_json() if estimate else None
