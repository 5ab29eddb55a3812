"""One mode's figures over some of its answers: means with intervals, times, what it costs. Knows lines and scores."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.settings import PriceSettings
from eval.score import METRICS, Metric, Scored, refusal_f1
from eval.stats import cluster_bootstrap


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its score and its line of results."""

    scored: Scored
    line: dict[str, Any]


def figures(answers: Sequence[Answered], prices: PriceSettings) -> dict[str, Any]:
    """Means with intervals, clustered by document; broken rules counted; times at p50 and p95 in milliseconds; cost."""
    scored = [one.scored for one in answers]
    f1 = refusal_f1(scored)
    written = [one for one in scored if one.first_token_ms]
    return {
        "questions": len(scored),
        **{name: _mean(scored, metric) for name, metric in METRICS.items()},
        "refusal_f1": f1.as_json() if f1 else None,
        "broken_rules": dict(Counter(rule for one in scored for rule in one.broken).most_common()),
        "first_token_ms": _quantiles([one.first_token_ms for one in written]),
        "total_ms": _quantiles([one.total_ms for one in scored]),
        "cost": _cost(answers, prices),
    }


def _mean(scored: Sequence[Scored], metric: Metric) -> dict[str, float | int] | None:
    kept = [(float(value), one.question.cluster) for one in scored if (value := metric(one)) is not None]
    estimate = cluster_bootstrap([value for value, _ in kept], [cluster for _, cluster in kept])
    return estimate.as_json() if estimate else None


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _cost(answers: Sequence[Answered], prices: PriceSettings) -> dict[str, Any] | None:
    """Tokens of an answer, answers a minute, and what a thousand of them cost; no money where there are no prices.

    Answers that were declined without asking the model count: they are part of what asking costs.
    """
    if not answers:
        return None
    read, written = (
        float(np.mean([one.line["usage"][name] for one in answers])) for name in ("prompt_tokens", "completion_tokens")
    )
    took = float(np.mean([one.scored.total_ms for one in answers]))
    priced = prices.prompt or prices.completion
    return {
        "prompt_tokens": round(read, 1),
        "completion_tokens": round(written, 1),
        "answers_per_minute": round(60_000 / took, 1) if took else None,
        # A thousand answers at a price per million tokens.
        "money_per_1000": round((prices.prompt * read + prices.completion * written) / 1000, 4) if priced else None,
        "currency": prices.currency,
    }
