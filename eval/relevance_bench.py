"""How well relevance tells questions that the documents answer from those that they don't, and the fit of its weights.

Every answerable question counts twice: as it is, and as if its gold documents did not exist.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from app.answer import DEPTH
from app.desk import Desk
from app.relevance import BIAS, PASSAGE, SENTENCE, Relevance
from eval.questions import Question
from retrieval.records import Hit

OVER_REFUSAL = 0.08
"""Share of answerable questions that may be declined."""

Floats = npt.NDArray[np.float64]


def bench_relevance(desk: Desk, questions: Sequence[Question]) -> dict[str, Any]:
    """Measure the shipped weights on a question set over the index, and fit new ones on it."""
    signals, answered = _signals(desk, [one for one in questions if one.kind != "restricted"])
    shipped = signals @ np.array([PASSAGE, SENTENCE]) + BIAS
    weights = fit(signals, answered)
    return {
        "questions": len(answered),
        "auc": {
            name: round(auc(values[answered], values[~answered]), 4)
            for name, values in (*zip(("passage", "sentence"), signals.T, strict=True), ("all", shipped))
        },
        "shipped": _operating_point(shipped, answered),
        "fitted": dict(zip(("passage", "sentence", "bias"), np.round(weights, 2).tolist(), strict=True)),
    }


def _signals(desk: Desk, questions: Sequence[Question]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    relevance = Relevance(desk.embedder.embed)
    texts: list[str] = []
    found: list[Sequence[Hit]] = []
    answered: list[bool] = []
    results = desk.searcher.search_batch([one.question for one in questions], k=DEPTH)
    for question, result in zip(questions, results, strict=True):
        texts.append(question.question)
        found.append(result.hits[: desk.searcher.k])
        answered.append(question.answerable)
        if question.answerable:
            texts.append(question.question)
            found.append([hit for hit in result.hits if hit.chunk.doc not in question.gold_docs][: desk.searcher.k])
            answered.append(False)
    return relevance.signals(texts, found), np.array(answered)


def _operating_point(logits: Floats, answered: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Where `OVER_REFUSAL` of the answerable are declined: that threshold, and the share of the others declined."""
    threshold = float(np.quantile(logits[answered], OVER_REFUSAL))
    return {
        "threshold": round(1 / (1 + float(np.exp(-threshold))), 4),
        "over_refusal": OVER_REFUSAL,
        "refusal_recall": round(float((logits[~answered] < threshold).mean()), 4),
    }


def auc(positive: Floats, negative: Floats) -> float:
    """Area under the ROC curve: how often a positive is above a negative, ties by half."""
    difference = positive[:, None] - negative[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def fit(signals: Floats, answered: npt.NDArray[np.bool_], ridge: float = 1.0) -> Floats:
    """Logistic regression by Newton's method, both classes weighing the same; the last weight is the bias."""
    x = np.column_stack([signals, np.ones(len(signals))])
    share = answered.mean()
    weight = np.where(answered, 0.5 / share, 0.5 / (1 - share))
    penalty = ridge * np.diag([1.0] * signals.shape[1] + [0.0])
    solution = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ solution))
        gradient = x.T @ (weight * (p - answered)) + penalty @ solution
        hessian = x.T @ (x * (weight * p * (1 - p))[:, None]) + penalty
        solution = solution - np.linalg.solve(hessian, gradient)
    return solution
