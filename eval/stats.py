"""Uncertainty of a mean over questions that come in clusters (one document, several questions)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % confidence interval; `n` questions in `clusters` clusters."""

    mean: float
    low: float
    high: float
    n: int
    clusters: int

    def as_json(self) -> dict[str, float | int]:
        """Rounded to four digits."""
        return {
            "mean": round(self.mean, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "n": self.n,
            "clusters": self.clusters,
        }


def cluster_bootstrap(
    values: Sequence[float], clusters: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Estimate | None:
    """Mean and percentile interval, whole clusters drawn with replacement; None without values.

    Source: Field and Welsh 2007, https://doi.org/10.1111/j.1467-9868.2007.00593.x (the cluster bootstrap).
    """
    if not values:
        return None
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster][0] += value
        sums[cluster][1] += 1
    table = np.array(list(sums.values()))
    draws = np.random.default_rng(seed).integers(0, len(table), size=(resamples, len(table)))
    drawn = table[draws].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return Estimate(float(np.mean(values)), float(low), float(high), len(values), len(table))
