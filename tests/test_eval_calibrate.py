"""Confidence is fitted on evaluated answers and measured on what was not fitted on."""

import json

import numpy as np
import pytest

from app.answering.confidence import SMALL, Confidence, confidence_for, save_confidence
from app.answering.relevance import Relevance
from eval.calibrate import calibrate, fit, predict, read_all, read_signals
from ingest.errors import DeskmateError

WEIGHTS = np.array([4.0, 1.0, 2.0, -6.0])


def write_evaluation(folder, n: int = 400, seed: int = 0, **more: object):
    """An evaluation whose answers are right as often as WEIGHTS say, and its question set."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    lines, questions = [], []
    for i in range(n):
        sentence, standing, held = rng.uniform(0, 1), rng.normal(2, 1), bool(rng.random() < 0.7)
        right = rng.random() < predict(np.array([[sentence, standing, held]]), WEIGHTS)[0]
        signals = {"sentence": sentence, "standing": standing, "held": held}
        said = {"refused": False, "model": "m", "passages": 3, "usage": {"prompt_tokens": 9}, "signals": signals}
        lines.append({"id": f"q{i}", "answer": "It is seven." if right else "It is eight.", **said, **more})
        lines.append({"id": f"q{i}#absent", "answer": "It is seven.", **said, "signals": {**signals, "sentence": 0.0}})
        question = {"id": f"q{i}", "question": "How many?", "answerable": True, "gold_docs": [f"d{i % 40}.md"]}
        questions.append(question | {"key_facts": [["seven"]]})
    (folder / "results-hybrid.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in questions))
    return file


def test_the_weights_that_made_the_answers_are_found_again(tmp_path) -> None:
    folder = tmp_path / "one"
    one = read_signals(folder, write_evaluation(folder, 6000), "m")
    assert one.weight.sum() == pytest.approx(1)
    there = one.answerable
    found = fit([one], [there], ridge=1e-6)
    assert found == pytest.approx(WEIGHTS, abs=0.5)
    assert not one.right[~there].any()  # no answer is right where the documents hold none
    assert one.weight[~there].sum() == pytest.approx(0.2)


def test_confidence_is_measured_on_documents_that_were_not_fitted_on(tmp_path) -> None:
    folder = tmp_path / "one"
    weights, measured = calibrate([read_signals(folder, write_evaluation(folder, 1500), "m")], "m", believed=True)
    [figures] = measured["held_out"]
    assert (weights.model, weights.believed) == ("m", True)
    assert figures["answers"] == 3000
    assert figures["ece"] < 0.06
    assert figures["auc_right"] > 0.75
    assert 0 < figures["refusal_recall"] <= 1


def test_of_several_collections_each_is_measured_by_the_others(tmp_path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    files = [write_evaluation(folder, 300, seed) for seed, folder in enumerate(folders)]
    _, measured = calibrate(read_all(folders, files, "m"), "m", believed=False)
    assert [figures["collection"] for figures in measured["held_out"]] == ["one", "two"]
    with pytest.raises(DeskmateError, match="2 evaluations and 1 question sets"):
        read_all(folders, files[:1], "m")


def test_what_was_declined_unseen_cannot_be_calibrated_on(tmp_path) -> None:
    file = write_evaluation(tmp_path / "one", 3, refused=True, usage={"prompt_tokens": 0})
    with pytest.raises(DeskmateError, match=r"results-hybrid\.jsonl:1 was declined or asked back unseen"):
        read_signals(tmp_path / "one", file, "m")
    with pytest.raises(DeskmateError, match="no results of the mode hybrid"):
        read_signals(tmp_path, file, "m")


def test_what_cannot_tell_right_from_wrong_is_refused(tmp_path) -> None:
    file = write_evaluation(tmp_path / "one", 30)
    with pytest.raises(DeskmateError, match="has answers of m, the settings name other"):
        read_signals(tmp_path / "one", file, "other")
    all_wrong = write_evaluation(tmp_path / "two", 3, answer="It is nine.")
    with pytest.raises(DeskmateError, match="all or none of 6 answers are right"):
        read_signals(tmp_path / "two", all_wrong, "m")
    without_facts = tmp_path / "bare.jsonl"
    without_facts.write_text("".join(line.replace('[["seven"]]', "[]") for line in file.open()))
    with pytest.raises(DeskmateError, match="all or none of 0 answers"):
        read_signals(tmp_path / "one", without_facts, "m")
    (tmp_path / "one" / "results-hybrid-b-v1.jsonl").write_text("")
    with pytest.raises(DeskmateError, match="answers of 2 adapters"):
        read_signals(tmp_path / "one", file, "m")


def test_the_workspaces_weights_serve_the_model_they_were_measured_for(tmp_path) -> None:
    measured = Confidence(SMALL.model, 1.0, 2.0, 3.0, -4.0, believed=False)
    save_confidence(measured, {"held_out": []}, tmp_path)
    assert confidence_for(SMALL.model, tmp_path) == measured
    other = confidence_for("mistral", tmp_path)
    assert (other.sentence, other.believed) == (SMALL.sentence, True)
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(DeskmateError, match="run deskmate calibrate again"):
        confidence_for(SMALL.model, tmp_path)


def test_more_of_every_signal_makes_surer() -> None:
    low = SMALL(Relevance(0.2, 1.0), held=False)
    assert 0 < low < SMALL(Relevance(0.8, 1.0), held=False) < SMALL(Relevance(0.8, 4.0), held=False) < 1
    assert low < SMALL(Relevance(0.2, 1.0), held=True)
