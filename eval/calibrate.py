"""Fits the weights of an answer's confidence on evaluated answers, and says how well they do on what they never saw.

Reads the results of `deskmate eval`; asks no model. An answer is right when it has every key fact of a question that
the documents answer; to another question no answer is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.answering.confidence import Confidence
from eval.calibration_figures import expected_calibration_error
from eval.context import ABSENT
from eval.metrics import key_facts_met
from eval.questions import Question, read_question_set
from eval.stats import auc
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl

ABSENT_SHARE = 0.2
"""Weight of the questions that are asked again without their documents, as a share of all: askers do ask what the
documents do not have, but not every other time."""

OVER_REFUSAL = 0.08
"""Share of answerable questions that may be declined; the threshold for it is what the figures are given at."""

FOLDS = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of each answer: `x` (n, 3): sentence, standing, held. `weight` sums to 1 over a collection.

    `asked`: as it stands in the question set, not once more without its documents.
    """

    name: str
    x: Floats
    right: npt.NDArray[np.bool_]
    answerable: npt.NDArray[np.bool_]
    asked: npt.NDArray[np.bool_]
    weight: Floats
    clusters: tuple[str, ...]


def read_signals(folder: Path, questions: Path, model: str) -> Signals:
    """Read the hybrid answers of an evaluation. Questions that say nothing of what a right answer is are left out.

    Raises:
        DeskmateError: no such evaluation, or more than one, or of another model; one in which something was declined
            unseen, so that nobody knows what the answer would have been; one that cannot tell right from wrong.
    """
    known = {one.id: one for one in read_question_set(questions)}
    path = _results(folder)
    rows, clusters = [], []
    for number, line in read_jsonl(path):
        question = known.get(str(line["id"]).removesuffix(ABSENT))
        if question is None:
            raise DeskmateError(f"{path}:{number}: {questions} has no question {line['id']!r}")
        if "failed" in line or question.kind == "restricted" or not line["passages"]:
            continue
        if question.answerable and not question.key_facts:
            continue
        if line["model"] != model:
            raise DeskmateError(f"{path} has answers of {line['model']}, the settings name {model}")
        if not line["usage"]["prompt_tokens"]:
            raise DeskmateError(
                f"{path}:{number} was declined or asked back unseen; to calibrate, evaluate with "
                "DESKMATE_CHAT__CONFIDENCE=0 and DESKMATE_CHAT__ASK_BACK=0"
            )
        asked = not str(line["id"]).endswith(ABSENT)
        there = question.answerable and asked
        rows.append((*_signals(line), _right(line, question, there), there, asked))
        clusters.append(question.cluster)
    table = np.array(rows, dtype=float).reshape(-1, 6)
    right, answerable, asked_so = (table[:, column] == 1 for column in (3, 4, 5))
    if right.all() or not right.any():
        raise DeskmateError(f"{path}: all or none of {len(rows)} answers are right, which teaches nothing")
    again = ~asked_so
    share = ABSENT_SHARE if again.any() and not again.all() else float(again.all())
    weight = np.where(again, share / max(1, again.sum()), (1 - share) / max(1, asked_so.sum()))
    return Signals(folder.name, table[:, :3], right, answerable, asked_so, weight, tuple(clusters))


def _results(folder: Path) -> Path:
    found = sorted(folder.glob("results-hybrid*.jsonl"))
    if not found:
        raise DeskmateError(f"{folder} holds no results of the mode hybrid; run deskmate eval --modes hybrid first")
    if len(found) > 1:
        raise DeskmateError(f"{folder} holds answers of {len(found)} adapters; evaluate with the one that is to serve")
    return found[0]


def _signals(line: dict[str, Any]) -> tuple[float, float, float]:
    signals = line["signals"]
    return signals["sentence"], signals["standing"], float(signals["held"])


def _right(line: dict[str, Any], question: Question, there: bool) -> bool:
    return there and not line["refused"] and key_facts_met(line["answer"], question.key_facts) == 1.0


def calibrate(collections: Sequence[Signals], model: str, believed: bool) -> tuple[Confidence, dict[str, Any]]:
    """Fit weights on all collections, each counting the same, and measure them on what they were not fitted on.

    Of one collection, documents are held out in ten folds; of several, one collection at a time.

    Returns:
        The weights, and for each collection: area under the ROC curve, expected calibration error, and what the
        threshold for 8 % over-refusal would be and would decline.
    """
    if len(collections) == 1:
        measured = [_figures(collections[0], _by_folds(collections[0]))]
    else:
        rest = ([one for one in collections if one is not held] for held in collections)
        measured = [
            _figures(held, predict(held.x, fit(others))) for held, others in zip(collections, rest, strict=True)
        ]
    weights = fit(collections)
    sentence, standing, held, bias = (round(float(value), 3) for value in weights)
    return Confidence(model, sentence, standing, held, bias, believed), {"held_out": measured}


def _by_folds(one: Signals) -> Floats:
    """Predictions for each answer by weights that never saw its document."""
    documents = {name: place % FOLDS for place, name in enumerate(dict.fromkeys(one.clusters))}
    fold = np.array([documents[name] for name in one.clusters])
    out = np.zeros(len(fold))
    for number in range(min(FOLDS, len(documents))):
        out[fold == number] = predict(one.x[fold == number], fit([one], [fold != number]))
    return out


def _figures(one: Signals, predicted: Floats) -> dict[str, Any]:
    there = one.answerable
    threshold = float(np.quantile(predicted[there], OVER_REFUSAL)) if there.any() else 0.0
    absent = ~there
    return {
        "collection": one.name,
        "answers": len(predicted),
        "auc_right": _auc(predicted[one.right], predicted[~one.right]),
        "auc_answerable": _auc(predicted[there], predicted[absent]),
        "ece": _ece(predicted[one.asked], one.right[one.asked]),
        "threshold": round(threshold, 3),
        "over_refusal": OVER_REFUSAL,
        "refusal_recall": round(float((predicted[absent] < threshold).mean()), 4) if absent.any() else None,
    }


def _ece(predicted: Floats, right: npt.NDArray[np.bool_]) -> float | None:
    order = np.argsort(predicted, kind="stable")
    return round(expected_calibration_error(predicted[order], right[order].astype(float)), 4) if len(order) else None


def _auc(positive: Floats, negative: Floats) -> float | None:
    return round(auc(positive, negative), 4) if len(positive) and len(negative) else None


def fit(collections: Sequence[Signals], picked: Sequence[npt.NDArray[np.bool_]] = (), ridge: float = 1e-3) -> Floats:
    """Weighted logistic regression with a ridge on all weights but the bias; the bias is the last one."""
    from scipy.optimize import minimize

    keep = picked or [np.ones(len(one.right), dtype=bool) for one in collections]
    x = np.concatenate([one.x[rows] for one, rows in zip(collections, keep, strict=True)])
    y = np.concatenate([one.right[rows] for one, rows in zip(collections, keep, strict=True)]).astype(float)
    weight = np.concatenate([one.weight[rows] for one, rows in zip(collections, keep, strict=True)])
    weight = weight / weight.sum()
    x = np.column_stack([x, np.ones(len(x))])
    shrunk = ridge * np.array([1.0] * (x.shape[1] - 1) + [0.0])

    def loss(solution: Floats) -> tuple[float, Floats]:
        z = x @ solution
        value = weight @ (np.logaddexp(0, z) - y * z) + shrunk @ solution**2 / 2
        return float(value), x.T @ (weight * (predict(x[:, :-1], solution) - y)) + shrunk * solution

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS", tol=1e-7).x)


def predict(x: Floats, weights: Floats) -> Floats:
    """Probabilities, shape (n,), for signals of shape (n, 3)."""
    z = np.clip(x @ weights[:-1] + weights[-1], -30, 30)
    return np.asarray(1 / (1 + np.exp(-z)))


def read_all(folders: Sequence[Path], questions: Sequence[Path], model: str) -> list[Signals]:
    """Read evaluations, each with its question set.

    Raises:
        DeskmateError: as `read_signals`, or not as many of the one as of the other.
    """
    if len(folders) != len(questions):
        raise DeskmateError(f"{len(folders)} evaluations and {len(questions)} question sets; name one for each")
    return [read_signals(folder, file, model) for folder, file in zip(folders, questions, strict=True)]


def as_lines(measured: dict[str, Any]) -> list[str]:
    """Figures for people."""
    lines = []
    for one in measured["held_out"]:
        lines.append(
            f"{one['collection']}: {one['answers']} answers; right and wrong told apart with AUC {one['auc_right']}, "
            f"ECE {one['ece']}"
        )
        if one["refusal_recall"] is not None:
            lines.append(
                f"  at {one['threshold']}, {one['over_refusal']:.0%} of the answerable and "
                f"{one['refusal_recall']:.0%} of the others are declined"
            )
    return lines
