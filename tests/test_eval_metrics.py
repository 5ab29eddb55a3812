"""Metrics and intervals against values worked out by hand, by numpy and by scipy."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from scipy import stats as scipy_stats

from eval.bench.retrieval import measure
from eval.metrics import (
    content_precision,
    exact_match,
    foreign_names,
    foreign_numbers,
    key_facts_met,
    names,
    ndcg_at,
    overlap_f1,
    recall_at,
    reciprocal_rank,
    rouge_l,
    semantic_similarity,
    token_f1,
)
from eval.stats import cluster_bootstrap
from retrieval.embed import HashingEmbedder
from retrieval.lexical import stems


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


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "f1"),
    [
        ("The Eiffel Tower!", "eiffel tower", True, 1.0),
        ("An apple, a day [1].", "apple day", True, 1.0),
        ("It was in Paris", "Paris", False, 0.4),  # one of four and one of one
        ("five five", "five", False, 2 / 3),
        ("London", "Paris", False, 0.0),
        ("", "the", True, 1.0),
        ("", "Paris", False, 0.0),
    ],
)
def test_exact_match_and_token_f1_are_those_of_squad(answer, gold, exact, f1):
    assert exact_match(answer, gold) is exact
    assert token_f1(answer, gold) == pytest.approx(f1)


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_f1_is_symmetric_and_one_only_for_the_same_bag(own, gold):
    assert overlap_f1(own, gold) == overlap_f1(gold, own)
    assert 0 <= overlap_f1(own, gold) <= 1
    assert (overlap_f1(own, gold) == 1) == (sorted(own) == sorted(gold))


def test_rouge_l_is_the_longest_common_subsequence_as_the_library_has_it():
    # Lin 2004: of four words, "police the gunman" and "the gunman" are in the gold one's order.
    gold = "police killed the gunman"
    assert rouge_l("police end the gunman", gold) == pytest.approx(0.75)
    assert rouge_l("the gunman end police", gold) == pytest.approx(0.5)
    assert rouge_l("Police kills the gunman [2].", gold) == 1.0
    text = "The card comes from the bank in about eight working days."
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    assert (
        rouge_l("In eight days the card comes.", text)
        == scorer.score(text, "In eight days the card comes.")["rougeL"][2]
    )


@given(
    st.lists(st.sampled_from("abcdefghijklmn"), max_size=14, unique=True),
    st.lists(st.sampled_from("abcdefghijklmn"), min_size=1, max_size=4, unique=True),
)
def test_ranks_and_gains_are_those_of_ir_measures(ranked, gold):
    qrels = {"q": dict.fromkeys(gold, 1)}
    run = {"q": {doc: float(-rank) for rank, doc in enumerate(ranked)}}
    theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.RR], qrels, run) if ranked else {}
    assert ndcg_at(10, ranked, gold) == pytest.approx(theirs.get(ir_measures.nDCG @ 10, 0.0))
    assert reciprocal_rank(ranked, gold) == pytest.approx(theirs.get(ir_measures.RR, 0.0))


def test_a_document_ranks_where_its_best_passage_does():
    found = ["a.md", "a.md", "b.md"]
    assert reciprocal_rank(found, ["b.md"]) == 0.5
    assert ndcg_at(10, found, ["b.md"]) == pytest.approx(1 / np.log2(3))
    assert ndcg_at(1, found, ["b.md"]) == 0.0
    assert ndcg_at(10, found, []) == 1.0


def test_similarity_is_the_cosine_of_what_is_said():
    asked = []

    def embed(texts):
        asked.append(list(texts))
        return HashingEmbedder().embed(texts)

    values = semantic_similarity(["You have 25 days [1].", "no"], ["You have 25 days.", "yes"], embed)
    assert values == pytest.approx([1.0, 0.0], abs=1e-6)
    assert len(asked) == 1
    assert semantic_similarity([], [], HashingEmbedder().embed) == []


def test_content_precision_is_the_share_of_stems_that_the_passages_hold():
    known = set(stems("Cards are approved by the department head."))
    assert content_precision("The head approves the card [1].", known) == 1.0
    assert content_precision("The head approves my laptop.", known) == pytest.approx(2 / 4)
    assert content_precision("[1]", known) is None


def test_numbers_of_an_answer_that_no_source_has_are_foreign():
    assert foreign_numbers("1. Wait 5 days [3].\n2. Pay EUR 1,200.", "five days and 1200 euros") == frozenset()
    assert foreign_numbers("Wait 6 days.", "five days") == {"6"}


def test_names_are_capitalised_runs_without_the_word_that_begins_a_sentence():
    assert names("Ask Anna Berg in Rotterdam. Please wait.") == ["Anna Berg", "Rotterdam"]
    assert names("Anna Berg knows. I'm sure I do.\n1. Open Harbour > Access.") == ["Berg", "Harbour", "Access"]
    assert names("The VPN-443 profile, not the other.") == ["VPN-443"]
    assert names("") == []


def test_a_name_is_foreign_when_a_word_of_it_is_in_no_source():
    known = set(stems("Berg runs the service desks in Rotterdam; ask Anna."))
    assert foreign_names("Ask Anna Berg at the Service Desk.", known) == []
    assert foreign_names("Ask Anna Smith in Porto.", known) == ["Anna Smith", "Porto"]


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
    found = measure(qrels, run)
    best = 1 + 1 / np.log2(3) + 1 / 2
    first = (1 + 1 / 2) / best  # ranks 1 and 3 of the three relevant ones
    second = 1 / np.log2(3)  # rank 2 of the only one
    assert found["ndcg@10"] == pytest.approx([first, second])
    assert found["recall@5"] == found["recall@100"] == pytest.approx([2 / 3, 1])
    assert found["mrr@10"] == pytest.approx([1, 1 / 2])


def test_a_query_without_results_counts_as_zero():
    found = measure({"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": {"a": 1.0}, "q2": {}})
    assert found == {key: [1.0, 0.0] for key in ("ndcg@10", "recall@5", "recall@100", "mrr@10")}
