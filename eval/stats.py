"""Uncertainty over questions that come in clusters (one document, several questions). Knows no metrics and no modes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ALPHA = 0.05
"""Two-sided error that is accepted; intervals hold with one minus it."""

ENDS = (100 * ALPHA / 2, 100 * (1 - ALPHA / 2))
"""The percentiles between which an interval lies."""

POWER = 0.8
"""How surely a difference is to be found for it to count as detectable."""

Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class Tally:
    """On how many questions the first was better, equal and worse than the second."""

    wins: int
    ties: int
    losses: int


def cluster_bootstrap(
    values: Sequence[float], clusters: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Estimate | None:
    """Mean and percentile interval, whole clusters drawn with replacement; None without values.

    Source: Field and Welsh 2007, https://doi.org/10.1111/j.1467-9868.2007.00593.x (the cluster bootstrap).
    """
    return bootstrap_ratio(values, [1.0] * len(values), clusters, resamples=resamples, seed=seed)


def bootstrap_ratio(
    above: Sequence[float], below: Sequence[float], clusters: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Estimate | None:
    """Sum of `above` over sum of `below`, one pair a question, with the interval of whole clusters drawn anew.

    A mean is the case where `below` is all ones; F1 is 2 TP over 2 TP + FP + FN. Draws without anything below are left
    out. None where there is nothing below at all.
    """
    if not sum(below):
        return None
    index = _index(clusters)
    table = np.column_stack([np.bincount(index, sums) for sums in (_paired(above, index), _paired(below, index))])
    draws = np.random.default_rng(seed).integers(0, len(table), size=(resamples, len(table)))
    drawn = table[draws].sum(axis=1)
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], ENDS)
    return Estimate(float(sum(above) / sum(below)), float(low), float(high), len(index), len(table))


def wilson(successes: int, trials: int) -> Estimate | None:
    """A share of independent trials with its score interval, which holds for 0 successes too; None without trials.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    from scipy.stats import binomtest

    if not trials:
        return None
    low, high = binomtest(successes, trials).proportion_ci(1 - ALPHA, method="wilson")
    return Estimate(successes / trials, float(low), float(high), trials, trials)


def sign_flip_p(
    differences: Sequence[float], clusters: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> float | None:
    """Two-sided p of a paired permutation test: had the two sides of every cluster been swapped by a coin.

    All differences of a cluster flip together, as they are not independent. Every assignment is counted where there
    are no more than `resamples` of them; else that many are drawn, and the observed one counts among them, so that p
    is never 0 (Phipson and Smyth 2010, https://doi.org/10.2202/1544-6115.1585). None without differences.
    """
    if not differences:
        return None
    index = _index(clusters)
    sums = np.bincount(index, _paired(differences, index))
    sums = sums[np.abs(sums) > 1e-12]  # a cluster without a difference is the same either way
    observed = abs(sums.sum()) - 1e-9
    if 2 ** len(sums) <= resamples:
        flips = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((np.abs((1 - 2 * flips) @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, size=(resamples, len(sums))) * 2 - 1
    return float((1 + (np.abs(signs @ sums) >= observed).sum()) / (1 + resamples))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for having looked so many times: the smallest times m, the next times m - 1, never falling.

    Source: Holm 1979, https://www.jstor.org/stable/4615733. Controls the chance of any false finding, whatever the
    dependence between the tests.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted


def tally(differences: Sequence[float]) -> Tally:
    """Count the questions by the sign of their difference."""
    wins = sum(difference > 0 for difference in differences)
    losses = sum(difference < 0 for difference in differences)
    return Tally(wins, len(differences) - wins - losses, losses)


def detectable(differences: Sequence[float], clusters: Sequence[str]) -> float | None:
    """The smallest true mean difference that questions like these would have shown, in the unit of the differences.

    Shown means: found at a two-sided error of 5 % with a power of 80 %, given the clustered standard error of these
    differences and t distributions with one degree of freedom less than there are clusters. A difference below it
    could well be there and not be seen. None with fewer than two clusters.

    Source: Bloom 1995, https://doi.org/10.1177/0193841X9501900504 (the minimum detectable effect); the standard error
    is that of Liang and Zeger 1986, https://doi.org/10.1093/biomet/73.1.13, with the correction G / (G - 1).
    """
    from scipy.special import stdtrit

    index = _index(clusters)
    count = len(set(index))
    if count < 2:
        return None
    values = _paired(differences, index)
    residuals = np.bincount(index, values - values.mean())
    error = np.sqrt(count / (count - 1) * (residuals**2).sum()) / len(values)
    return float((stdtrit(count - 1, 1 - ALPHA / 2) + stdtrit(count - 1, POWER)) * error)


def auc(positive: Floats, negative: Floats) -> float:
    """Area under the ROC curve: how often a positive is above a negative, ties by half; by ranks (Mann and Whitney)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)].sum()
    least = len(positive) * (len(positive) + 1) / 2
    return float((ranks - least) / (len(positive) * len(negative)))


def _index(clusters: Sequence[str]) -> npt.NDArray[np.intp]:
    """The number of each question's cluster, from 0 in the order in which they come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)


def _paired(values: Sequence[float], index: npt.NDArray[np.intp]) -> Floats:
    if len(values) != len(index):
        raise ValueError(f"{len(values)} values in {len(index)} clusters")
    return np.array(values, dtype=np.float64)
