"""People's ratings as figures: win rates counted by hand, agreement against published values and a library."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rated import answer_line, evaluation, write

from app.ratings.plan import Asked, Pair, questions_of
from app.ratings.store import Ratings, Verdict
from eval.agreement import agreement, cohen_kappa, krippendorff_alpha
from eval.human import human


def say(folder: Path, rater: str, question: str, better: str, *, over: str = "rag-only", swap: bool = False) -> None:
    """A rating of `hybrid` against another mode: `better` is a mode or "tie"."""
    asked = next(one for one in questions_of(folder) if one.id == question)
    left, right = (over, "hybrid") if swap else ("hybrid", over)
    verdict: Verdict = "tie" if better == "tie" else "left" if better == left else "right"
    Ratings(folder).rate(rater, pair(asked, left, right), verdict, "tie")


def pair(asked: Asked, left: str, right: str) -> Pair:
    return Pair("", asked, asked.answers[left], asked.answers[right], False)


def test_nobody_has_rated(tmp_path: Path) -> None:
    assert human(evaluation(tmp_path)) is None


def test_win_rates_count_ties_by_half_and_do_not_mind_the_side(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, modes=("hybrid", "rag-only"))
    say(folder, "ann", "q0", "hybrid")
    say(folder, "ann", "q1", "hybrid", swap=True)
    say(folder, "ann", "q2", "tie")
    say(folder, "ann", "q3", "rag-only")
    found = human(folder)
    assert found is not None
    assert (found["ratings"], found["raters"], found["stale"]) == (4, 1, 0)
    tone = found["modes"]["hybrid"]["tone"]
    assert (tone["mean"], tone["wins"], tone["ties"], tone["losses"], tone["clusters"]) == (0.625, 2, 1, 1, 4)
    assert tone["low"] < 0.625 < tone["high"]
    assert found["modes"]["rag-only"]["tone"]["mean"] == 0.375
    assert found["modes"]["hybrid"]["correctness"]["mean"] == 0.5
    assert found["left"]["tone"]["mean"] == 0.375  # won on the left once, lost there twice, one tie
    assert found["agreement"] == {"shared": 0, "tone": None, "correctness": None}


def test_ratings_of_one_question_are_one_cluster(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, modes=("hybrid", "rag-only"))
    for rater in ("ann", "bob", "cy"):
        say(folder, rater, "q0", "hybrid")
        say(folder, rater, "q1", "rag-only")
    found = human(folder)
    assert found is not None
    tone = found["modes"]["hybrid"]["tone"]
    assert (tone["mean"], tone["low"], tone["high"], tone["n"], tone["clusters"]) == (0.5, 0.0, 1.0, 6, 2)


def test_pairs_say_how_sure_a_difference_is_and_how_many_answers_were_the_same(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, modes=("hybrid", "rag-only"), questions=8)
    same = [answer_line(n, "rag-only", f"Text {1 if n else 0} to {n} [1].") for n in range(8)]
    write(folder / "results-1.jsonl", same)
    for n in range(1, 7):
        say(folder, "ann", f"q{n}", "hybrid")
    found = human(folder)
    assert found is not None
    (row,) = found["pairs"]
    assert (row["modes"], row["questions"], row["same"]) == (["hybrid", "rag-only"], 8, 1)
    assert row["tone"]["mean"] == 1.0
    assert row["tone"]["p"] == round(2 / 2**6, 4)  # six heads of six, two-sided
    assert row["tone"]["p_holm"] == round(2 * round(2 / 2**6, 4), 4)  # two comparisons: tone and correctness
    assert row["correctness"]["p"] == 1.0


def test_two_raters_get_kappa_and_more_get_alpha(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, modes=("hybrid", "rag-only"))
    for n, (ann, bob) in enumerate([("hybrid", "hybrid"), ("rag-only", "rag-only"), ("hybrid", "tie")]):
        say(folder, "ann", f"q{n}", ann)
        say(folder, "bob", f"q{n}", bob, swap=True)
    found = human(folder)
    assert found is not None
    assert found["agreement"]["shared"] == 3
    tone = found["agreement"]["tone"]
    assert tone["measure"] == "Cohen's kappa"
    assert tone["value"] == 0.5  # observed 2/3; chance (2*1 + 1*1 + 0*1) / 9 = 1/3
    assert tone["share"] == 0.6667
    assert found["agreement"]["correctness"] is None  # all said tie: no telling from chance
    say(folder, "cy", "q0", "hybrid")
    found = human(folder)
    assert found is not None
    assert found["agreement"]["tone"]["measure"] == "Krippendorff's alpha"


def test_ratings_of_words_that_are_gone_do_not_count(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, modes=("hybrid", "rag-only"), questions=2)
    say(folder, "ann", "q0", "hybrid")
    say(folder, "ann", "q1", "hybrid")
    write(folder / "results-0.jsonl", [answer_line(0, "hybrid", "New."), answer_line(1, "hybrid", "Text 0 to 1 [1].")])
    found = human(folder)
    assert found is not None
    assert (found["ratings"], found["stale"]) == (1, 1)


def test_kappa_of_fifty_grant_proposals() -> None:
    """The usual worked example: 20 both yes, 15 both no, 5 and 10 apart; p_o = .7, p_e = .5."""
    yes, no = "yes", "no"
    labels = [(yes, yes)] * 20 + [(yes, no)] * 5 + [(no, yes)] * 10 + [(no, no)] * 15
    assert cohen_kappa(labels) == pytest.approx(0.4)


def test_alpha_of_krippendorffs_four_observers() -> None:
    """Krippendorff 2011, section C: twelve units, four observers, values missing; nominal alpha is .743."""
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    units = [[label for label in unit if label != "."] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=0.0005)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(["one", "tie", "other"])] * 2), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(labels: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    ours = cohen_kappa(labels)
    if ours is not None:
        first, second = zip(*labels, strict=True)
        assert ours == pytest.approx(metrics.cohen_kappa_score(first, second))


def test_agreement_is_one_where_all_agree_and_none_where_nobody_shares() -> None:
    same = [{"ann": label, "bob": label} for label in ("one", "tie", "other", "one")]
    found = agreement(same)
    assert found is not None
    assert (found.value, found.low, found.high, found.share) == (1.0, 1.0, 1.0, 1.0)
    assert agreement([{"ann": "one"}, {"bob": "one"}]) is None
    assert agreement([]) is None
