"""Does a tuned model follow preferences that it has not seen? Accuracy with its interval. Knows numbers only.

What is scored is the implicit reward (Rafailov et al., 2023): by how much an answer has become likelier than it was for
the model that tuning started from. That model itself scores 50 %, as everything is a tie.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.training.preference import Method

RESAMPLES = 2000
NO_CHANGE = 0.5

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one held-out label: sums of log-probabilities, after less before.

    For DPO `better` is the correction's and `worse` the given answer's. For KTO one of them is None. `tokens` counts
    the better answer's.
    """

    source: str
    better: float | None
    worse: float | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Score:
    """Held-out preference accuracy, and how much likelier better answers became, in nats a token."""

    accuracy: Interval
    likelihood: Interval

    @property
    def passes(self) -> bool:
        """Whether the model surely follows preferences better, and good answers did not surely become less likely."""
        return self.accuracy.low > NO_CHANGE and self.likelihood.high >= 0


def score(method: Method, changes: Sequence[Change], seed: int) -> Score:
    """Measure on held-out labels; the intervals are bootstrapped by conversation.

    Args:
        method: for DPO a correction is compared with the answer that it corrects, for KTO every thumb up with every
            thumb down (the area under the ROC curve).
        changes: of the held-out labels.
        seed: of the bootstrap.
    """
    compare = _paired(changes) if method == "dpo" else _unpaired(changes)
    gains = np.array([0.0 if one.better is None else one.better / one.tokens for one in changes])
    praised = np.array([float(one.better is not None) for one in changes])

    def likelihood(weights: Array) -> Array:
        result: Array = (weights @ gains) / (weights @ praised)
        return result

    sources = [one.source for one in changes]
    return Score(_bootstrap(sources, compare, seed), _bootstrap(sources, likelihood, seed))


def _paired(changes: Sequence[Change]) -> Callable[[Array], Array]:
    margins = np.array([(one.better or 0.0) - (one.worse or 0.0) for one in changes])
    wins = _wins(margins)
    return lambda weights: (weights @ wins) / weights.sum(axis=1)


def _unpaired(changes: Sequence[Change]) -> Callable[[Array], Array]:
    up = [at for at, one in enumerate(changes) if one.better is not None]
    down = [at for at, one in enumerate(changes) if one.worse is not None]
    better = np.array([changes[at].better for at in up], dtype=np.float64)
    worse = np.array([changes[at].worse for at in down], dtype=np.float64)
    wins = _wins(better[:, None] - worse[None, :])

    def area(weights: Array) -> Array:
        ups, downs = weights[:, up], weights[:, down]
        result: Array = ((ups @ wins) * downs).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1))
        return result

    return area


def _wins(margins: Array) -> Array:
    return np.where(margins > 0, 1.0, np.where(margins < 0, 0.0, 0.5))


def _bootstrap(sources: Sequence[str], statistic: Callable[[Array], Array], seed: int) -> Interval:
    """Draw conversations with replacement; a draw that lacks a verdict says nothing and is passed over."""
    names, place = np.unique(np.array(sources), return_inverse=True)
    count = len(names)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    with np.errstate(invalid="ignore"):
        values = statistic(draws[:, place].astype(np.float64))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(statistic(np.ones((1, len(sources))))[0]), float(low), float(high))
