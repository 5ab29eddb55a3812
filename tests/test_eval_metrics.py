"""Metrics and intervals against values worked out by hand, by numpy and by scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from eval.metrics import key_facts_met, recall_at
from eval.retrieval_bench import measure
from eval.stats import cluster_bootstrap


@pytest.mark.parametrize(
    ("answer", "facts", "share"),
    [
        ("You have 25 days.", [["25 days", "twenty-five days"]], 1.0),
        ("You have TWENTY-FIVE\n days.", [["25 days", "twenty-five days"]], 1.0),
        ("You have 125 days.", [["25 days"]], 0.0),
        ("You have 25 days.", [["25 day"]], 0.0),
        ("Call 4000, then wait.", [["4000"], ["servicedesk"]], 0.5),
        ("Call [1] 4000 [2].", [["Call 4000"]], 1.0),
        ("It costs €40 (net).", [["€40"], ["(net)"], ["40"]], 1.0),
        ("Die Straße ist ﬁnal.", [["strasse"], ["final"]], 1.0),
        ("Anything.", [], 1.0),
        ("", [["x"]], 0.0),
        ("Anything.", [[]], 0.0),
    ],
)
def test_a_key_fact_group_is_met_by_one_alternative_as_whole_words(answer, facts, share):
    assert key_facts_met(answer, facts) == share


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4))
def test_an_answer_that_spells_out_all_facts_meets_them_unless_they_look_like_citations(facts):
    if not any("[" in fact for fact in facts):
        assert key_facts_met(" ".join(f" {fact} " for fact in facts), [[fact] for fact in facts]) == 1.0


def test_recall_counts_gold_documents_and_not_passages():
    found = ["a.md", "a.md", "b.md", "c.md"]
    assert recall_at(1, found, ["a.md", "b.md"]) == 0.5
    assert recall_at(2, found, ["a.md", "b.md"]) == 0.5
    assert recall_at(3, found, ["a.md", "b.md", "b.md"]) == 1.0
    assert recall_at(4, found, ["d.md"]) == 0.0
    assert recall_at(4, [], ["d.md"]) == 0.0
    assert recall_at(4, [], []) == 1.0


def test_the_bootstrap_of_lone_questions_agrees_with_scipy():
    values = list(np.random.default_rng(1).random(60))
    ours = cluster_bootstrap(values, [str(i) for i in range(60)], resamples=20_000)
    theirs = scipy_stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2)
    assert ours.mean == pytest.approx(np.mean(values))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.004)
    assert (ours.n, ours.clusters) == (60, 60)


def test_questions_of_one_document_count_as_one():
    alike = cluster_bootstrap([1.0, 1.0, 1.0, 0.0, 0.0, 0.0], ["a"] * 3 + ["b"] * 3)
    # Two clusters are drawn: both a (mean 1), both b (0) or one of each (0.5), so 95 % reach from 0 to 1.
    assert (alike.mean, alike.low, alike.high, alike.clusters) == (0.5, 0.0, 1.0, 2)
    apart = cluster_bootstrap([1.0, 0.0] * 30, [str(i) for i in range(60)])
    together = cluster_bootstrap([1.0] * 30 + [0.0] * 30, [str(i // 10) for i in range(60)])
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_mean_of_unequal_clusters_is_the_mean_of_questions():
    estimate = cluster_bootstrap([1.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b"])
    assert (estimate.mean, estimate.low, estimate.high) == (0.25, 0.0, 1.0)


def test_the_bootstrap_is_the_same_every_time_and_nothing_without_values():
    assert cluster_bootstrap([0.1, 0.9, 0.4], ["a", "b", "b"]) == cluster_bootstrap([0.1, 0.9, 0.4], ["a", "b", "b"])
    assert cluster_bootstrap([], []) is None
    one = cluster_bootstrap([0.7], ["a"])
    assert (one.low, one.mean, one.high) == pytest.approx((0.7, 0.7, 0.7))
    with pytest.raises(ValueError):
        cluster_bootstrap([0.7], ["a", "b"])


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=20))
def test_an_interval_lies_within_the_values(pairs):
    values, clusters = [value for value, _ in pairs], [cluster for _, cluster in pairs]
    estimate = cluster_bootstrap(values, clusters, resamples=100)
    slack = 1e-12
    assert min(values) - slack <= estimate.low <= estimate.high <= max(values) + slack
    assert min(values) - slack <= estimate.mean <= max(values) + slack


def test_ir_measures_give_what_the_formulas_give():
    qrels = {"q1": {"a": 1, "b": 1, "c": 1}, "q2": {"x": 1}}
    run = {"q1": {"a": 9.0, "z": 8.0, "c": 7.0}, "q2": {"y": 2.0, "x": 1.0}}
    ndcg, recall5, recall100, mrr = measure(qrels, run)
    best = 1 + 1 / np.log2(3) + 1 / 2
    first = (1 + 1 / 2) / best  # ranks 1 and 3 of the three relevant ones
    second = 1 / np.log2(3)  # rank 2 of the only one
    assert ndcg == pytest.approx((first + second) / 2)
    assert recall5 == recall100 == pytest.approx((2 / 3 + 1) / 2)
    assert mrr == pytest.approx((1 + 1 / 2) / 2)


def test_a_query_without_results_counts_as_zero():
    ndcg, recall5, recall100, mrr = measure({"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": {"a": 1.0}, "q2": {}})
    assert (ndcg, recall5, recall100, mrr) == (0.5, 0.5, 0.5, 0.5)
