"""What people said of answers, for holding a judge against it: labels in a file, blinded ratings, a public set.

Knows who says what of which words; asks no model.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.ratings.plan import questions_of
from app.ratings.store import Rating
from eval.agreement import agreement
from eval.human import counted
from eval.judge import Case, Verdict
from eval.questions import Question
from eval.validate import as_published, rated_pairs
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl


class Label(BaseModel):
    """A line of a labelled sample: what a person says of an answer to a question of the set; more may stand there."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    answer: str
    label: Verdict
    rater: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of one answer, a verdict, or of which of two is more correct: `one`, `tie`, `other`.

    `cluster`: what depends on each other, the document where that is known.
    """

    rater: str
    label: str
    cases: tuple[Case, ...]
    cluster: str


@dataclass(frozen=True, slots=True)
class People:
    """What people said, and where that is from, in words."""

    source: str
    said: tuple[Said, ...]


Make = Callable[[Question, str], Case]
"""An answer to a question with what it is judged by."""


def read_labels(path: Path, questions: Mapping[str, Question]) -> list[Label]:
    """Read a labelled sample.

    Raises:
        DeskmateError: no file, no labels, a line that does not fit, a question that is not in the set, or an answer
            that the same person has labelled before; with file and line.
    """
    found: dict[tuple[str, str, str], Label] = {}
    for number, data in read_jsonl(path):
        try:
            line = Label(**data)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DeskmateError(f"{path}:{number}: {problems}") from None
        if line.id not in questions:
            raise DeskmateError(f"{path}:{number}: there is no question {line.id!r} in this evaluation")
        if (key := (line.id, line.answer, line.rater)) in found:
            raise DeskmateError(f"{path}:{number}: this answer to {line.id!r} has been labelled before")
        found[key] = line
    if not found:
        raise DeskmateError(f"{path} holds no label")
    return list(found.values())


def labelled(path: Path, questions: Mapping[str, Question], make: Make) -> People:
    """A sample that somebody labelled, or a folder with RAGChecker's meta-evaluation (`eval.validate`).

    Raises:
        DeskmateError: see `read_labels`; a folder does not hold the files, or not as they were published.
    """
    if path.is_dir():
        with as_published("RAGChecker", path):
            return People("RAGChecker (arXiv 2408.08067), which of two answers is more correct", tuple(_public(path)))
    found = (
        Said(one.rater, one.label, (make(questions[one.id], one.answer),), questions[one.id].cluster)
        for one in read_labels(path, questions)
    )
    return People(path.name, tuple(found))


def rated(folder: Path, questions: Mapping[str, Question], make: Make) -> People | None:
    """The blinded ratings of an evaluation's answers, by correctness; None where there are none.

    Raises:
        DeskmateError: a line of the folder's files that is none of theirs.
    """
    asked = {one.id: one for one in questions_of(folder)}
    found = tuple(
        Said(
            rating.rater,
            _better(rating),
            tuple(
                make(questions[rating.question], asked[rating.question].answers[mode].text) for mode in rating.key[1:3]
            ),
            questions[rating.question].cluster,
        )
        for rating in counted(folder)[0]
    )
    return People("blinded ratings, which of two answers is more correct", tuple(found)) if found else None


def _better(rating: Rating) -> str:
    if rating.correctness == "tie":
        return "tie"
    return "one" if (rating.left if rating.correctness == "left" else rating.right) == rating.key.one else "other"


def _public(folder: Path) -> Iterator[Said]:
    """Ru et al. 2024: long answers of large models to questions with a right answer; two people on each pair."""
    for lines in rated_pairs(folder):
        first = lines[0]
        cases = tuple(
            Case(first["query"], True, first["gt_answer"], (), first[side]["response"]) for side in ("model1", "model2")
        )
        for number, line in enumerate(lines, start=1):
            label = line["correctness_label"]
            better = "tie" if label == 0 else "other" if label > 0 else "one"
            yield Said(f"person {number}", better, cases, f"{first['dataset']} {first['query_id']}")


def hold_against(people: People, verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How far a judge agrees with people, beside how far these agree among themselves.

    Cohen's kappa over what people said, verdicts or preferences, with an interval from draws of whole clusters. Of two
    answers the judge prefers the one of more merit. What it has no verdict on is left out and counted.

    Args:
        people: what they said.
        verdicts: the judge's lines by the case's key.

    Returns:
        `source`, `n` labels on `clusters` documents, `unjudged`, `confusion` (people's label, then the judge's),
        `people` (agreement among them, or None) and `agreement`, None with a `why` where it cannot be told.
    """
    held = [one for one in people.said if all("verdict" in verdicts[case.key] for case in one.cases)]
    pairs = [(one.label, _of_judge(one, verdicts)) for one in held]
    clusters = [one.cluster for one in held]
    agreed = agreement([{"people": theirs, "judge": judges} for theirs, judges in pairs], clusters)
    why = None
    if not held:
        why = "the judge has no verdict on any answer that people judged"
    elif agreed is None:
        why = "people and judge gave one label only"
    elif len(set(clusters)) < 2:
        why = "what people judged is all about one document"
    confusion: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for theirs, judges in pairs:
        confusion[theirs][judges] += 1
    return {
        "source": people.source,
        "n": len(held),
        "clusters": len(set(clusters)),
        "unjudged": len(people.said) - len(held),
        "agreement": agreed.as_json() if agreed and not why else None,
        "why": why,
        "people": _among(people.said),
        "confusion": {label: dict(counts) for label, counts in confusion.items()},
    }


def _of_judge(one: Said, verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    if len(one.cases) == 1:
        return str(verdicts[one.cases[0].key]["verdict"])
    first, second = (case.merit(verdicts[case.key]["verdict"]) for case in one.cases)
    return "tie" if first == second else "one" if first > second else "other"


def _among(said: Sequence[Said]) -> dict[str, Any] | None:
    units: defaultdict[tuple[str, tuple[Case, ...]], dict[str, str]] = defaultdict(dict)
    for one in said:
        units[one.cluster, one.cases][one.rater] = one.label
    agreed = agreement(list(units.values()), [cluster for cluster, _ in units])
    return agreed.as_json() if agreed else None
