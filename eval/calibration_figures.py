"""Does an answer's confidence mean what it says? Figures over answers that were given; draws nothing, fits nothing.

An answer that declines is no claim that could be right, so it is not among them. Where to decline is what the
risk-coverage curve is for: `coverage` there is the share of these answers that a threshold would still give.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.score import Scored

BINS = 10

Floats = npt.NDArray[np.float64]


def calibration_figures(scored: Sequence[Scored], confidences: Sequence[float]) -> dict[str, Any] | None:
    """ECE, Brier score, reliability bins and risk-coverage curve of one mode; None where nothing can be judged.

    An answer is right when it meets every key fact of an answerable question. To one that has no answer in the
    documents it is wrong. Answerable questions without key facts cannot be judged and are left out.

    Args:
        scored: the answers of one mode.
        confidences: 0 to 1, in their order.
    """
    judged = [
        (confidence, one.facts == 1.0)
        for one, confidence in zip(scored, confidences, strict=True)
        if not one.refused and not one.clarifies and (one.facts is not None or not one.question.answerable)
    ]
    if not judged:
        return None
    order = sorted(judged)
    confidence = np.array([one for one, _ in order])
    right = np.array([float(one) for _, one in order])
    bins = _bins(confidence, right)
    return {
        "ece": round(expected_calibration_error(confidence, right), 4),
        "brier": round(float(((confidence - right) ** 2).mean()), 4),
        "n": len(order),
        "bins": [{name: round(value, 4) for name, value in one.items()} for one in bins],
        "risk_coverage": risk_coverage(confidence, right),
    }


def expected_calibration_error(confidence: Floats, right: Floats) -> float:
    """Mean gap between confidence and accuracy over the bins; both arrays in the order of confidence.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    bins = _bins(confidence, right)
    return float(sum(one["n"] * abs(one["confidence"] - one["accuracy"]) for one in bins) / len(confidence))


def _bins(confidence: Floats, right: Floats) -> list[dict[str, Any]]:
    """Ten bins of equal mass, fewer where there are fewer answers; both arrays in the order of confidence.

    Source: Nguyen and O'Connor 2015, https://aclanthology.org/D15-1182.
    """
    return [
        {
            "low": float(confidence[part].min()),
            "high": float(confidence[part].max()),
            "n": len(part),
            "confidence": float(confidence[part].mean()),
            "accuracy": float(right[part].mean()),
        }
        for part in np.array_split(np.arange(len(confidence)), min(BINS, len(confidence)))
    ]


def risk_coverage(confidence: Floats, right: Floats) -> list[dict[str, float]]:
    """The share of wrong answers among those above a threshold, for every threshold there is, the strictest first.

    Source: El-Yaniv and Wiener 2010, https://jmlr.org/papers/v11/el-yaniv10a.html.
    """
    ranked = np.argsort(-confidence, kind="stable")
    counts = np.arange(1, len(ranked) + 1)
    risks = np.cumsum(1 - right[ranked]) / counts
    last_of_its_confidence = np.append(np.diff(confidence[ranked]) != 0, True)
    return [
        {"coverage": round(float(count / len(ranked)), 4), "risk": round(float(risk), 4)}
        for count, risk in zip(counts[last_of_its_confidence], risks[last_of_its_confidence], strict=True)
    ]
