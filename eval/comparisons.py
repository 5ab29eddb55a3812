"""Modes against each other, question by question, with all that keeps a difference from being believed too early."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.score import METRICS, Metric, Scored
from eval.stats import Estimate, cluster_bootstrap, detectable, holm, sign_flip_p, tally

COMPARED = (
    "key_fact_accuracy",
    "over_refusal",
    "refusal_recall",
    "supported_sentences",
    "citation_precision",
    "house_form",
)
"""Metrics of which modes are compared. Each one more makes every other harder to believe, by Holm's correction."""

Answers = Mapping[str, Scored]
"""One mode's scored answers by the question's id; what failed is not among them."""


def compare(first: tuple[str, Answers], others: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """The first mode minus each of the others, metric by metric: paired, so that what a question costs both cancels.

    Holm's correction is over all of them together.
    """
    label, mine = first
    found = [
        one for name in COMPARED for other, theirs in others.items() if (one := _compare(name, mine, theirs, other))
    ]
    for one, adjusted in zip(found, holm([one["p"] for one in found]), strict=True):
        one |= {"modes": [label, one["modes"]], "p": round(one["p"], 4), "p_holm": round(adjusted, 4)}
    return found


def _compare(name: str, mine: Answers, theirs: Answers, other: str) -> dict[str, Any] | None:
    values, clusters = differences(METRICS[name], mine, theirs)
    estimate = cluster_bootstrap(values, clusters)
    p = sign_flip_p(values, clusters)
    if estimate is None or p is None:
        return None
    counts, least = tally(values), detectable(values, clusters)
    return {
        "metric": name,
        "modes": other,
        "difference": estimate.as_json(),
        "p": p,
        "p_holm": p,
        "wins": counts.wins,
        "ties": counts.ties,
        "losses": counts.losses,
        "detectable": None if least is None else round(least, 4),
    }


def differences(metric: Metric, mine: Answers, theirs: Answers) -> tuple[list[float], list[str]]:
    """One mode's values minus another's where both have one, each with its question's cluster."""
    pairs = [(metric(one), metric(theirs[id]), one) for id, one in mine.items() if id in theirs]
    kept = [(float(a) - float(b), one.question.cluster) for a, b, one in pairs if a is not None and b is not None]
    return [value for value, _ in kept], [cluster for _, cluster in kept]


def difference(metric: Metric, mine: Answers, theirs: Answers, ids: Sequence[str]) -> Estimate | None:
    """The mean of these differences over some questions, with its interval; None where nothing can be compared."""
    kept = {id: mine[id] for id in ids if id in mine}
    return cluster_bootstrap(*differences(metric, kept, theirs))
