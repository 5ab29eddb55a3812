"""The gate, what is held out, and the measure."""

import pytest

from finetune.curation.feedback import Judged
from finetune.training.preference import PreferenceSettings, pick_method, split
from finetune.training.preference_score import Change, score
from ingest.errors import DeskmateError

SETTINGS = PreferenceSettings()


def label(n, up=False, correction="", source=""):
    return Judged(str(n), source or str(n), bool(source), (), "a", up, correction, {}, frozenset())


def thumbs(ups, downs, sources=20):
    return [label(n, up=n < ups, source=f"s{n % sources}") for n in range(ups + downs)]


def test_too_few_corrections_are_refused_with_what_is_missing():
    labels = [label(n, correction="b") for n in range(39)]
    with pytest.raises(DeskmateError, match="dpo needs 40 corrected answers and there are 39; gather more"):
        pick_method("dpo", labels, SETTINGS)


def test_too_few_thumbs_of_one_verdict_are_refused():
    with pytest.raises(DeskmateError, match="kto needs 20 thumbs down and there are 19; gather more"):
        pick_method("kto", thumbs(90, 19), SETTINGS)


def test_too_few_conversations_are_refused_where_they_are_known():
    with pytest.raises(DeskmateError, match="kto needs 10 conversations and there are 9;"):
        pick_method("kto", thumbs(60, 60, sources=9), SETTINGS)
    assert pick_method("kto", [label(n, up=n % 2 == 0) for n in range(100)], SETTINGS) == "kto"


def test_auto_takes_dpo_where_there_are_enough_corrections_else_kto():
    corrected = [label(n, correction="b") for n in range(40)]
    assert pick_method("auto", corrected, SETTINGS) == "dpo"
    assert pick_method("auto", [*corrected[1:], *thumbs(40, 60)], SETTINGS) == "kto"
    with pytest.raises(DeskmateError, match=r"dpo needs 40 corrected answers and there are 10; kto needs 100 thumbs"):
        pick_method("auto", corrected[:10], SETTINGS)


@pytest.mark.parametrize("seed", range(5))
def test_no_conversation_is_on_both_sides_and_each_verdict_is_on_both(seed):
    labels = thumbs(80, 20, sources=25)
    parts = split("kto", labels, SETTINGS.model_copy(update={"seed": seed}))
    assert not {one.source for one in parts.train} & {one.source for one in parts.held_out}
    assert len(parts.train) + len(parts.held_out) == 100
    assert sum(not one.up for one in parts.held_out) >= 5
    assert {one.up for one in parts.train} == {True, False}


def test_labels_of_too_few_people_cannot_be_split():
    labels = [*thumbs(50, 50, sources=4)]
    with pytest.raises(DeskmateError, match="100 labels come from 4 conversations, which is too few"):
        split("kto", labels, SETTINGS)


def test_a_model_that_did_not_change_scores_half_and_does_not_pass():
    changes = [Change(str(n), 0.0, 0.0, 3) for n in range(12)]
    found = score("dpo", changes, 0)
    assert (found.accuracy.value, found.accuracy.low, found.accuracy.high) == (0.5, 0.5, 0.5)
    assert not found.passes


def test_kto_counts_pairs_of_a_praised_and_another_answer():
    changes = [
        Change("a", 2.0, None, 2),
        Change("b", 0.0, None, 2),
        Change("c", None, 1.0, 1),
        Change("d", None, -1, 1),
    ]
    found = score("kto", changes, 0)
    assert found.accuracy.value == 0.75
    assert found.likelihood.value == 0.5
    assert found.accuracy.low < 0.75 < found.accuracy.high
    assert not found.passes


def test_corrections_that_became_less_likely_do_not_pass():
    changes = [Change(str(n), -3.0, -9.0, 3) for n in range(12)]
    found = score("dpo", changes, 0)
    assert found.accuracy.low == 1.0
    assert found.likelihood.high == -1.0
    assert not found.passes
