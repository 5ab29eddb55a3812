"""How far people who judged the same things agree beyond chance. Knows labels and who gave them, not what they mean."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from eval.stats import ENDS

Unit = dict[str, str]
"""What each rater said of one thing: labels by rater."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement beyond chance, 1 for perfect and 0 for chance, with its 95 % interval; `share` is the raw agreement."""

    measure: str
    value: float
    low: float
    high: float
    share: float

    def as_json(self) -> dict[str, float | str]:
        """Rounded to four digits."""
        figures = {"value": self.value, "low": self.low, "high": self.high, "share": self.share}
        return {"measure": self.measure, **{name: round(figure, 4) for name, figure in figures.items()}}


def agreement(
    units: Sequence[Unit], clusters: Sequence[str] = (), *, resamples: int = 1000, seed: int = 0
) -> Agreement | None:
    """Cohen's kappa where two raters judged, Krippendorff's alpha where more did.

    The interval is the percentile one, clusters drawn with replacement; draws in which all labels are the same say
    nothing and are left out.

    Args:
        units: what was judged; units with a single label count for nothing.
        clusters: what each unit depends on, such as its document; by default each stands for itself.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        None where no two people judged the same, or all labels are the same one.
    """
    groups: defaultdict[str, list[Unit]] = defaultdict(list)
    for unit, cluster in zip(units, clusters or map(str, range(len(units))), strict=True):
        if len(unit) > 1:
            groups[cluster].append(unit)
    drawable = list(groups.values())
    shared = list(chain.from_iterable(drawable))
    raters = sorted({rater for unit in shared for rater in unit})

    def measure(drawn: Sequence[Unit]) -> float | None:
        if len(raters) == 2:
            return cohen_kappa([(unit[raters[0]], unit[raters[1]]) for unit in drawn])
        return krippendorff_alpha([list(unit.values()) for unit in drawn])

    value = measure(shared)
    if value is None:
        return None
    draws = np.random.default_rng(seed).integers(0, len(drawable), size=(resamples, len(drawable)))
    samples = ([unit for i in draw for unit in drawable[i]] for draw in draws)
    drawn = [again for sample in samples if (again := measure(sample)) is not None]
    low, high = np.percentile(drawn, ENDS)
    pairs = [one == other for unit in shared for one, other in combinations(unit.values(), 2)]
    name = "Cohen's kappa" if len(raters) == 2 else "Krippendorff's alpha"
    return Agreement(name, value, float(low), float(high), sum(pairs) / len(pairs))


def cohen_kappa(labels: Sequence[tuple[str, str]]) -> float | None:
    """Agreement of two raters beyond what their own habits would give by chance.

    Source: Cohen 1960, https://doi.org/10.1177/001316446002000104: (p_o - p_e) / (1 - p_e), unweighted.

    Args:
        labels: what the first and the second said, unit by unit.

    Returns:
        None where chance alone would agree always, or without labels.
    """
    n = len(labels)
    first, second = Counter(one for one, _ in labels), Counter(other for _, other in labels)
    chance = sum(first[label] * second[label] for label in first)
    if chance == n * n:
        return None
    return (n * sum(one == other for one, other in labels) - chance) / (n * n - chance)


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Agreement of any number of raters, each of whom may have left out units; labels without an order.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43,
    section C: alpha = 1 - D_o / D_e over the matrix of coincidences, nominal metric.

    Args:
        units: the labels of each unit; those with a single one are left out.

    Returns:
        None where all labels are the same, or nothing was labelled twice.
    """
    counts = [Counter(unit) for unit in units if len(unit) > 1]
    totals = sum(counts, Counter[str]())
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    if not expected:
        return None
    # In a unit of m labels, m² - Σ count² ordered pairs differ, and each pair weighs 1 / (m - 1).
    observed = sum(
        (unit.total() ** 2 - sum(count * count for count in unit.values())) / (unit.total() - 1) for unit in counts
    )
    return 1 - (n - 1) * observed / expected
