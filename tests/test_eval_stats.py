"""Statistics against values worked out by hand and against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from eval.stats import Tally, auc, bootstrap_ratio, detectable, holm, sign_flip_p, tally


def lone(values):
    return [str(i) for i in range(len(values))]


def test_few_clusters_are_flipped_in_every_way():
    assert sign_flip_p([1.0, 2.0, 3.0], lone("abc")) == 0.25  # only +++ and --- of the eight reach 6
    assert sign_flip_p([1.0, 2.0, -3.0], lone("abc")) == 1.0
    assert sign_flip_p([1.0] * 6, ["a", "a", "a", "b", "b", "c"]) == 0.25


def test_a_cluster_flips_as_a_whole():
    differences = [1.0] * 10
    assert sign_flip_p(differences, lone(differences)) == 2 / 2**10
    assert sign_flip_p(differences, ["one"] * 10) == 1.0


def test_the_permutation_test_agrees_with_scipy():
    rng = np.random.default_rng(4)
    for size in (9, 60):
        values = rng.normal(0.25, 1, size)
        theirs = scipy_stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=10_000, rng=3, vectorized=False
        )
        tolerance = 1e-12 if size == 9 else 0.015  # 2 ** 9 ways are counted by both; 2 ** 60 are drawn from
        assert sign_flip_p(list(values), lone(values)) == pytest.approx(theirs.pvalue, abs=tolerance)


def test_a_drawn_p_is_never_zero_and_always_the_same():
    values = [1.0] * 50
    assert sign_flip_p(values, lone(values), resamples=99) == 0.01
    noisy = list(np.random.default_rng(0).normal(size=50))
    assert sign_flip_p(noisy, lone(noisy)) == sign_flip_p(noisy, lone(noisy))


def test_nothing_compared_has_no_p_and_no_difference_has_one():
    assert sign_flip_p([], []) is None
    assert sign_flip_p([0.0, 0.0], ["a", "b"]) == 1.0
    with pytest.raises(ValueError):
        sign_flip_p([1.0], ["a", "b"])


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_values_and_bonferroni_in_the_same_order(values):
    adjusted = holm(values)
    assert all(raw <= one <= min(1.0, raw * len(values)) + 1e-12 for raw, one in zip(values, adjusted, strict=True))
    order = np.argsort(values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_wins_ties_and_losses_are_counted():
    assert tally([0.5, 0.0, -1.0, 1.0]) == Tally(wins=2, ties=1, losses=1)
    assert tally([]) == Tally(0, 0, 0)


def test_the_detectable_difference_of_lone_questions_is_that_of_the_t_test():
    values = list(np.random.default_rng(1).normal(0.1, 1, 40))
    least = detectable(values, lone(values))
    error = np.std(values, ddof=1) / np.sqrt(40)
    assert least == pytest.approx((scipy_stats.t.ppf(0.975, 39) + scipy_stats.t.ppf(0.8, 39)) * error)
    power = scipy_stats.nct.sf(scipy_stats.t.ppf(0.975, 39), 39, least / error)
    assert power == pytest.approx(0.8, abs=0.01)


def test_questions_of_one_document_show_less():
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    # Residuals sum to 1.5 and -1.5: the standard error is sqrt(2 / 1 * 4.5) / 6 = 0.5.
    factor = scipy_stats.t.ppf(0.975, 1) + scipy_stats.t.ppf(0.8, 1)
    assert detectable(values, ["a"] * 3 + ["b"] * 3) == pytest.approx(0.5 * factor)
    assert detectable(values, lone(values)) < 1
    assert detectable(values, ["a"] * 6) is None
    assert detectable([], []) is None
    assert detectable([0.5, 0.5], ["a", "b"]) == 0.0


def test_a_ratio_of_sums_has_an_interval():
    # Two true positives, one false positive, one false negative: F1 is 4 / 6.
    estimate = bootstrap_ratio([2, 2, 0, 0, 0], [2, 2, 1, 1, 0], lone("abcde"))
    assert estimate.mean == pytest.approx(2 / 3)
    assert 0 <= estimate.low < 2 / 3 < estimate.high <= 1
    assert (estimate.n, estimate.clusters) == (5, 5)
    assert bootstrap_ratio([0.0], [0.0], ["a"]) is None


def test_the_area_under_the_curve_counts_ties_by_half():
    positive, negative = np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.0])
    assert auc(positive, negative) == pytest.approx(5.5 / 6)
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 5, 30).astype(float), rng.integers(0, 4, 20).astype(float)
    difference = positive[:, None] - negative
    assert auc(positive, negative) == pytest.approx((difference > 0).mean() + (difference == 0).mean() / 2)
