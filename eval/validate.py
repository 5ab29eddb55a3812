"""Do the metrics stand for what people say? Each is held against people's labels, most of two public data sets.

Knows the files of these sets and the metrics; knows nothing of modes, questions or reports.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.answering.grounding import ground
from eval.metrics import (
    Embed,
    content_precision,
    foreign_names,
    foreign_numbers,
    key_facts_met,
    names,
    overlap_f1,
    rouge_l,
    semantic_similarity,
    token_f1,
)
from eval.refusals import classify, labelled
from eval.stats import ENDS, Floats, auc
from finetune.support import numbers
from finetune.voice import load_voice
from ingest.errors import DeskmateError
from ingest.records import Chunk
from retrieval.lexical import stems

SHIPPED = Path(__file__).with_name("metric_validation.json")
"""What `deskmate bench metrics --json` printed when it was last run; reports print it."""

PREFERENCE = "RAGChecker (arXiv 2408.08067)"
ATTRIBUTION = "BEGIN {} (arXiv 2105.00071)"

RESAMPLES = 1000

Row = dict[str, Any]


def validation() -> list[Row]:
    """How well the metrics stand for people's judgement, as it was last measured: the rows of `validate`."""
    rows: list[Row] = json.loads(SHIPPED.read_text("utf-8"))["rows"]
    return rows


def validate(ragchecker: Path | None, begin: Path | None, embed: Embed) -> list[Row]:
    """Hold metrics against people, with the public sets that are there.

    Of RAGChecker's meta-evaluation (Ru et al. 2024): pairs of answers, and which of the two two people prefer. The
    figure is Pearson's r between the metric's difference and the people's mean, beside that of the people among
    themselves and of the set's own metric, claims checked by a large model. Of BEGIN (Dziri et al. 2022): answers that
    are fully attributable to a text or not. The figure is the area under the ROC curve, and for what flags few answers
    the share of them that people call not attributable, beside the same share of all answers. Of our own labelled
    answers, the half that `eval.refusals` was not written on: refusals found, and answers taken for refusals.

    Args:
        ragchecker: the folder with `human_labeled_data.json` and `baseline_ragchecker.json`.
        begin: the folder with BEGIN's `.tsv` files, at any depth.
        embed: texts to unit vectors.

    Returns:
        Rows of `data`, `metric`, `figure`, `value` with its 95 % interval from `low` to `high`, and `n`.

    Raises:
        DeskmateError: a folder does not hold the files, or not as they were published.
    """
    rows = list(_refusals())
    if ragchecker:
        with as_published("RAGChecker", ragchecker):
            rows += _preferences(ragchecker, embed)
    if begin:
        with as_published("BEGIN", begin):
            rows += _attributions(begin)
    return rows


@contextmanager
def as_published(whose: str, folder: Path) -> Iterator[None]:
    """Say whose file is not as it was published where something is missing in it."""
    try:
        yield
    except KeyError as error:
        raise DeskmateError(f"a file in {folder} is not as {whose} has it: {error} is missing") from error


def _refusals() -> Iterator[Row]:
    voice = load_voice()
    held_out = labelled(held_out=True)
    found = np.array([classify(one.answer, voice) == "refusal" for one in held_out])
    due = np.array([one.label == "refusal" for one in held_out])
    data = "labelled answers of deskmate, held out"
    yield _share(data, "refusals", "recall", found[due])
    yield _share(data, "refusals", "false positives", found[~due])


def _preferences(folder: Path, embed: Embed) -> Iterator[Row]:
    both = rated_pairs(folder)
    rated = np.array([[one["overall_label"] for one in ratings] for ratings in both], dtype=float)
    first = [ratings[0] for ratings in both]
    golds = [one["gt_answer"] for one in first]
    left, right = ([one[side]["response"] for one in first] for side in ("model1", "model2"))
    by_claims = {_pair(line): line for line in _read(folder / "baseline_ragchecker.json")}
    claims = np.array([_claims(by_claims[_pair(one)]) for one in first])
    people = rated.mean(axis=1)

    def row(name: str, values: Floats, others: Floats = people) -> Row:
        return _figure(PREFERENCE, name, "Pearson r", _pearson, values, others)

    yield row("people among themselves", rated[:, 0], rated[:, 1])
    yield row("claims checked by a large model", claims)
    for name, metric in _COMPARED.items():
        values = [_each(metric, answers, golds) for answers in (left, right)]
        yield row(name, values[1] - values[0])
    values = [np.array(semantic_similarity(answers, golds, embed)) for answers in (left, right)]
    yield row("semantic_similarity", values[1] - values[0])


def rated_pairs(folder: Path) -> list[list[Row]]:
    """Both people's lines on each pair of answers of RAGChecker's meta-evaluation; labels above 0 prefer `model2`."""
    pairs: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for line in _read(folder / "human_labeled_data.json"):
        pairs[_pair(line)].append(line)
    return [ratings for ratings in pairs.values() if len(ratings) == 2]


def _pair(line: Row) -> tuple[str, ...]:
    return line["dataset"], line["query_id"], line["model1"]["model_name"], line["model2"]["model_name"]


def _claims(line: Row) -> float:
    left, right = (line[side]["ragchecker"]["overall_label"] for side in ("model1", "model2"))
    return float(right - left)


def _key_terms(answer: str, gold: str) -> float:
    """Key-fact accuracy where nobody has named the key facts: the gold answer's numbers and names stand for them."""
    return key_facts_met(answer, [[term] for term in sorted({*numbers(gold), *names(gold)})])


_COMPARED: dict[str, Callable[[str, str], float]] = {
    "key_fact_accuracy (the gold answer's numbers and names)": _key_terms,
    "content-word F1": lambda answer, gold: overlap_f1(stems(answer), stems(gold)),
    "token_f1": token_f1,
    "rouge_l": rouge_l,
}


def _attributions(folder: Path) -> Iterator[Row]:
    texts: defaultdict[str, list[Row]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts[path.parent.name] += csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    if not texts:
        raise DeskmateError(f"there is no .tsv file of BEGIN in {folder}")
    for name, lines in texts.items():
        labels = np.array([line["begin_label"] == "Fully attributable" for line in lines], dtype=float)
        answers, sources = [line["response"] for line in lines], [line["knowledge"] for line in lines]
        data = ATTRIBUTION.format(name)
        for metric, value in _GROUNDED.items():
            yield _figure(data, metric, "AUC", _auc, _each(value, answers, sources), labels)
        yield _share(data, "all answers", "not attributable", labels == 0)
        for metric, flag in _FLAGS.items():
            flagged = _each(flag, answers, sources) > 0
            if flagged.any():
                yield _share(data, metric, "not attributable", labels[flagged] == 0)


def _supported(answer: str, source: str) -> float:
    sentences = ground(answer, [Chunk("", "", "", "", None, 0, len(source), source)], load_voice()).sentences
    return float(np.mean([sentence.supported for sentence in sentences])) if sentences else 0.0


_GROUNDED: dict[str, Callable[[str, str], float]] = {
    "content_precision": lambda answer, source: content_precision(answer, set(stems(source))) or 0.0,
    "supported_sentences": _supported,
}

_FLAGS: dict[str, Callable[[str, str], float]] = {
    "foreign_numbers": lambda answer, source: len(foreign_numbers(answer, source)),
    "foreign_names": lambda answer, source: len(foreign_names(answer, set(stems(source)))),
}


def _each(metric: Callable[[str, str], float], answers: Sequence[str], others: Sequence[str]) -> Floats:
    return np.array([metric(answer, other) for answer, other in zip(answers, others, strict=True)])


def _figure(data: str, metric: str, figure: str, statistic: Callable[..., float], *columns: Floats) -> Row:
    """A row with the percentile bootstrap's interval over answers or pairs, which are the columns' entries."""
    count = len(columns[0])
    draws = np.random.default_rng(0).integers(0, count, size=(RESAMPLES, count))
    drawn = [statistic(*(column[draw] for column in columns)) for draw in draws]
    low, high = np.nanpercentile(drawn, ENDS)
    return _row(data, metric, figure, (statistic(*columns), low, high), count)


def _share(data: str, metric: str, figure: str, found: npt.NDArray[np.bool_]) -> Row:
    """A row with the share of what was found and Wilson's interval, which holds for small counts too."""
    from scipy.stats import binomtest

    test = binomtest(int(found.sum()), len(found))
    low, high = test.proportion_ci(method="wilson")
    return _row(data, metric, figure, (test.statistic, low, high), len(found))


def _row(data: str, metric: str, figure: str, estimate: tuple[float, float, float], count: int) -> Row:
    value, low, high = (round(float(number), 3) for number in estimate)
    return {"data": data, "metric": metric, "figure": figure, "value": value, "low": low, "high": high, "n": count}


def _pearson(values: Floats, people: Floats) -> float:
    """Pearson's r; not a number where one of the two does not vary, as a draw from few may not."""
    return float(np.corrcoef(values, people)[0, 1]) if values.std() and people.std() else math.nan


def _auc(values: Floats, labels: Floats) -> float:
    """The area under the curve; not a number where all labels are one."""
    return auc(values[labels == 1], values[labels == 0]) if len(set(labels)) == 2 else math.nan


def _read(path: Path) -> list[Row]:
    try:
        lines: list[Row] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DeskmateError(f"{path} cannot be read: {error}") from error
    return lines
