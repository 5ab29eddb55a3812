"""Metrics held against made-up people, whose judgement is known; the files they come in; and the shipped figures."""

import json
from pathlib import Path

import pytest

from app.desk import Desk
from app.settings import load_settings
from eval.bench.commands import BenchOptions, run_bench
from eval.validate import validate, validation
from ingest.errors import DeskmateError
from retrieval.embed import HashingEmbedder

EMBED = HashingEmbedder().embed
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "metric-validation.json"

GOLD = "The card from Hanze Bank takes 8 days to come"
WORSE = [
    "",
    "A card.",
    "The card takes.",
    "The card from a Bank.",
    "The card from Hanze Bank.",
    "A card takes 8 days to come.",
]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr("eval.validate.RESAMPLES", 50)


@pytest.fixture
def ragchecker(tmp_path):
    """Pairs of which the second is the gold answer; the worse the first, the surer both people prefer the second."""
    folder = tmp_path / "ragchecker"
    folder.mkdir()
    rated, claimed = [], []
    for n, worse in enumerate(WORSE):
        pair = {"dataset": "d", "query_id": str(n), "gt_answer": GOLD}
        sides = [{"model_name": name, "response": text} for name, text in (("a", worse), ("b", GOLD))]
        label = 2 - len(worse) // 10
        for rating in (label, label):
            rated.append(pair | {"model1": sides[0], "model2": sides[1], "overall_label": rating})
        scored = [
            side | {"ragchecker": {"overall_label": score}} for side, score in zip(sides, (-label, 0), strict=True)
        ]
        claimed.append(pair | {"model1": scored[0], "model2": scored[1]})
    (folder / "human_labeled_data.json").write_text(json.dumps(rated))
    (folder / "baseline_ragchecker.json").write_text(json.dumps(claimed))
    return folder


@pytest.fixture
def begin(tmp_path):
    """Answers that copy their text, and others with a number and a name of their own."""
    folder = tmp_path / "begin" / "wow"
    folder.mkdir(parents=True)
    lines = ["model_name\tdata_source\tknowledge\tmessage\tresponse\tbegin_label"]
    for n in range(6):
        source = f'The {n} "keepers of the lighthouse sailed to Porto'
        lines.append(f"m\twow\t{source}\thi\tThe {n} keepers sailed to Porto.\tFully attributable")
        lines.append(f"m\twow\t{source}\thi\tSome 99 painters flew to Vienna.\tNot fully attributable")
    lines.append("m\twow\tA text.\thi\tI like it.\tGeneric")
    (folder / "begin_dev_wow.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder.parent


def test_a_metric_that_orders_pairs_as_people_do_correlates_with_them(ragchecker):
    rows = {row["metric"]: row for row in validate(ragchecker, None, EMBED)}
    assert rows["people among themselves"]["value"] == 1.0
    assert rows["claims checked by a large model"]["value"] == 1.0
    assert len(rows) == 8
    del rows["refusals"]
    for name, row in rows.items():
        assert 0.5 < row["value"] <= 1.0, name
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["n"], row["figure"]) == (6, "Pearson r")


def test_attributable_answers_are_told_from_others(begin):
    rows = {row["metric"]: row for row in validate(None, begin, EMBED)}
    assert rows["content_precision"]["value"] == rows["supported_sentences"]["value"] == 1.0
    assert rows["all answers"]["value"] == pytest.approx(7 / 13, abs=0.001)
    assert (rows["foreign_numbers"]["value"], rows["foreign_numbers"]["n"]) == (1.0, 6)
    assert (rows["foreign_names"]["value"], rows["foreign_names"]["n"]) == (1.0, 6)
    # Wilson's interval of 6 in 6: n / (n + z^2).
    assert rows["foreign_names"]["low"] == pytest.approx(6 / (6 + 1.96**2), abs=0.001)


def test_both_sets_follow_each_other(ragchecker, begin):
    rows = validate(ragchecker, begin, EMBED)
    own = validate(None, None, EMBED)
    assert rows == validate(ragchecker, None, EMBED) + validate(None, begin, EMBED)[len(own) :]
    assert rows[: len(own)] == own
    assert {tuple(row) for row in rows} == {("data", "metric", "figure", "value", "low", "high", "n")}


def test_files_that_are_not_there_or_not_as_published_are_named(tmp_path):
    with pytest.raises(DeskmateError, match=r"human_labeled_data\.json cannot be read"):
        validate(tmp_path, None, EMBED)
    with pytest.raises(DeskmateError, match=r"no \.tsv file of BEGIN in"):
        validate(None, tmp_path, EMBED)
    (tmp_path / "human_labeled_data.json").write_text('[{"dataset": "d"}]')
    with pytest.raises(DeskmateError, match="not as RAGChecker has it: 'query_id' is missing"):
        validate(tmp_path, None, EMBED)
    (tmp_path / "a.tsv").write_text("one\ttwo\n1\t2\n")
    with pytest.raises(DeskmateError, match="not as BEGIN has it: 'begin_label' is missing"):
        validate(None, tmp_path, EMBED)


def test_the_benchmark_prints_the_rows(begin, tmp_path, capsys):
    desk = Desk(load_settings(home=tmp_path / "home", retrieval={"embedder": "hashing"}, chat={"backend": "echo"}))
    run_bench(desk, "metrics", BenchOptions(begin=begin), True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"bench": "metrics", "rows": validate(None, begin, EMBED)}
    run_bench(desk, "metrics", BenchOptions(begin=begin), False)
    assert "AUC" in capsys.readouterr().out


def test_what_reports_print_is_what_was_measured_and_holds_the_published_figures():
    rows = validation()
    assert rows == json.loads(RESULTS.read_text("utf-8"))["rows"]
    of = {(row["data"].split(" (")[0], row["metric"]): row["value"] for row in rows}
    assert of["RAGChecker", "people among themselves"] == pytest.approx(0.70, abs=0.005)
    assert of["RAGChecker", "claims checked by a large model"] == pytest.approx(0.67, abs=0.005)
    assert of["RAGChecker", "content-word F1"] == pytest.approx(0.58, abs=0.005)
    aucs = [value for (_, metric), value in of.items() if metric == "content_precision"]
    assert len(aucs) == 3
    assert all(0.91 <= value <= 0.97 for value in aucs)
