"""The report: figures that the answers deserve, comparisons, calibration, disagreements, cost, and the verdict."""

import json

import pytest
from eval_desk import LEAVE, QUESTIONS, VPN, make_desk, publish, write_set

from app.answering.modes import Mode
from app.models.llm import EchoModel
from app.settings import PriceSettings
from eval.calibration_figures import calibration_figures
from eval.comparisons import COMPARED, compare
from eval.disagreements import disagreements, false_answer, outcome
from eval.figures import Answered, figures
from eval.questions import Question
from eval.report import write_report
from eval.run import Options, run
from eval.score import METRICS, score
from eval.summary import print_report
from eval.verdict import verdict
from finetune.voice import load_voice
from ingest.errors import DeskmateError

VOICE = load_voice(None)


def line(answer="", refused=False, confidence=0.5, **more):
    return {
        "answer": answer, "refused": refused, "confidence": confidence, "citations": [], "retrieved_docs": [],
        "supported": [], "written": answer, "passages": 1, "texts": ["The answer is 42."], "headings": [""],
        "generation": "gen-000001", "timing": {"first_token_ms": 0.0, "total_ms": 300.0},
        "usage": {"prompt_tokens": 400, "completion_tokens": 50},
    } | more  # fmt: skip


def scored(answer="", refused=False, *, id="q", answerable=True, facts=(("42",),), doc="a.md"):
    question = Question(id, "What is it?", answerable, (doc,), "42", facts if answerable else (), "single", "plain")
    return score(question, line(answer, refused), VOICE)


def right(**more):
    return scored("It is 42.", **more)


def wrong(**more):
    return scored("It is 17.", **more)


def declined(**more):
    return scored(VOICE.decline, True, **more)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of an evaluation of all modes."""
    root = tmp_path_factory.mktemp("evaluated")
    desk = make_desk(root, prices={"prompt": 2.0, "completion": 6.0})
    publish(desk, root)
    write_report(desk, run(desk, write_set(root / "questions.jsonl"), Options(adapters=("house",), out=root / "out")))
    return root / "out"


@pytest.fixture(scope="module")
def report(out):
    return json.loads((out / "report.json").read_text())


def test_the_report_on_disk_has_the_agreed_parts(report, out):
    assert report["version"] == 1
    assert report["questions"] | {"sha256": ""} == {
        "file": "questions.jsonl", "sha256": "", "n": 4, "answerable": 2, "context": "retrieved",
        "kinds": {"single": 2, "out of scope": 1, "restricted": 1},
    }  # fmt: skip
    assert report["index"] == {"generation": "gen-000001", "documents": 3, "chunks": 3}
    assert (report["model"], report["adapter"]["id"], report["adapter"]["tuned_on"]) == ("echo", "house/v1", None)
    assert [mode["mode"] for mode in report["modes"]] == ["hybrid", "rag-only", "tune-only", "prompt-only"]
    empty = ("forgetting", "obedience", "canaries", "human", "data_card", "gate")
    assert [name for name in empty if report[name] is not None] == []
    assert set(report["calibration"]) == {"hybrid", "rag-only"}
    assert len(report["validation"]) > 0
    assert report["verdict"][1:] in (out / "report.md").read_text()
    assert "<!DOCTYPE html>" in (out / "report.html").read_text()
    assert report["verdict"].startswith("hybrid and rag-only cannot be told apart")


def test_figures_are_the_ones_that_the_answers_deserve(report):
    mode = report["modes"][1]
    found = mode["all"]
    assert set(METRICS) < set(found)
    assert found["questions"] == 4
    assert found["key_fact_accuracy"]["mean"] == 0.75  # echo quotes "25 days" of two facts, and "4500"
    assert (found["key_fact_accuracy"]["n"], found["key_fact_accuracy"]["clusters"]) == (2, 2)
    assert found["recall@5"]["mean"] == 1.0
    assert found["restricted_facts_told"]["mean"] == 0.0
    assert found["citation_precision"]["mean"] == 1.0
    assert found["broken_rules"] == {}
    assert mode["by_kind"]["restricted"]["restricted_facts_told"]["n"] == 1
    assert mode["by_style"]["plain"] == found
    assert mode["by_tuning"]["seen"]["questions"] == 1  # leave.md
    assert mode["by_tuning"]["held_out"]["questions"] == 3
    closed = report["modes"][3]["all"]
    assert closed["recall@5"] is None
    assert closed["supported_sentences"] is None
    assert closed["key_fact_accuracy"]["mean"] == 0.0


def test_what_answers_cost_is_counted_from_their_tokens_and_times():
    one = Answered(right(), line())
    priced = figures([one, one], PriceSettings(prompt=2.0, completion=6.0, currency="CHF"))["cost"]
    assert priced == {
        "prompt_tokens": 400.0, "completion_tokens": 50.0, "answers_per_minute": 200.0,
        "money_per_1000": 1.1, "currency": "CHF",  # 400 × 2 + 50 × 6 of a million, a thousand times
    }  # fmt: skip
    assert figures([one], PriceSettings())["cost"]["money_per_1000"] is None
    assert figures([], PriceSettings())["cost"] is None


def test_modes_are_compared_on_the_same_questions_with_holm_over_all_of_them():
    mine = {f"q{n}": right(id=f"q{n}", doc=f"{n}.md") for n in range(10)}
    theirs = {f"q{n}": (right if n < 2 else wrong)(id=f"q{n}", doc=f"{n}.md") for n in range(9)}  # q9 failed
    facts, *others = compare(("hybrid", mine), {"rag-only": theirs})
    assert (facts["metric"], facts["modes"]) == ("key_fact_accuracy", ["hybrid", "rag-only"])
    assert (facts["wins"], facts["ties"], facts["losses"]) == (7, 2, 0)
    assert facts["difference"]["mean"] == pytest.approx(7 / 9, abs=1e-4)
    assert facts["p"] == pytest.approx(2 / 2**7, abs=1e-4)  # all seven flip together: 2 of 128 ways
    assert {one["metric"] for one in others} <= set(COMPARED)
    assert facts["p_holm"] == pytest.approx(facts["p"] * (1 + len(others)), abs=1e-3)
    assert 0 < facts["detectable"] < 1


def test_calibration_is_of_answers_that_were_given():
    answers = [right(), right(), wrong(), declined(), scored("It is 17.", answerable=False)]
    found = calibration_figures(answers, [0.9, 0.8, 0.6, 0.1, 0.2])
    assert found["n"] == 4
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.36 + 0.04) / 4)
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.6 + 0.2) / 4)  # four answers, a bin each
    assert found["risk_coverage"] == [
        {"coverage": 0.25, "risk": 0.0},
        {"coverage": 0.5, "risk": 0.0},
        {"coverage": 0.75, "risk": 0.3333},
        {"coverage": 1.0, "risk": 0.5},
    ]
    assert calibration_figures([declined()], [0.1]) is None


def test_bins_have_equal_mass_and_a_threshold_cannot_part_equal_confidences():
    answers = [right() for _ in range(10)] + [wrong() for _ in range(10)]
    found = calibration_figures(answers, [0.5] * 20)
    assert [one["n"] for one in found["bins"]] == [2] * 10
    assert found["risk_coverage"] == [{"coverage": 1.0, "risk": 0.5}]


def test_an_answer_is_right_wrong_or_declined():
    assert (outcome(right()), outcome(wrong()), outcome(declined())) == ("right", "wrong", "declined")
    assert outcome(declined(answerable=False)) == "right"
    assert outcome(wrong(answerable=False)) == "wrong"
    assert outcome(scored("It is 42.", facts=())) is None  # nothing to judge it by
    assert [false_answer(one) for one in (right(), wrong(), declined())] == [False, True, False]


def test_the_most_telling_disagreements_are_shown_with_passages_and_answers_side_by_side():
    mine = {"a": right(id="a"), "b": wrong(id="b"), "c": declined(id="c"), "d": right(id="d"), "e": right(id="e")}
    theirs = {"a": wrong(id="a"), "b": right(id="b"), "c": wrong(id="c"), "d": right(id="d"), "e": wrong(id="e")}
    lines = {
        label: {id: line(f"{label} on {id}", confidence=0.9 if id == "e" else 0.4) for id in mine} for label in "xy"
    }
    lines["x"]["a"] |= {
        "retrieved_docs": ["a.md", "b.md"],
        "headings": ["Title"],
        "texts": ["Title\nThe answer is 42."],
    }
    found = disagreements(("x", "y"), {"x": mine, "y": theirs}, lines)
    assert [one["id"] for one in found] == ["e", "b", "c", "a"]  # of each way the surest, then the rest
    assert found[3]["why"] == "x is right, y is wrong"
    assert found[3]["passages"] == [{"n": 1, "doc": "a.md", "heading": "Title", "text": "The answer is 42."}]
    assert {label: one["answer"] for label, one in found[3]["answers"].items()} == {"x": "x on a", "y": "y on a"}
    assert found[3]["gold"] == {"answer": "42", "docs": ["a.md"]}


def compared(metric, mean, p, detectable=0.07):
    difference = {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 100, "clusters": 20}
    return {"metric": metric, "modes": ["hybrid", "rag-only"], "difference": difference, "p_holm": p} | {
        "detectable": detectable
    }


def test_the_verdict_says_in_a_sentence_what_was_shown_and_what_was_not():
    better = [compared("key_fact_accuracy", 0.12, 0.01), compared("house_form", 0.4, 0.001)]
    assert verdict([], better, {"allowed": True, "reasons": []}) == (
        "hybrid tells 12 of 100 key facts more than rag-only (+7 to +17); hybrid keeps the house form in 40 of 100 "
        "answers more; the adapter may serve."
    )
    same = [compared("key_fact_accuracy", 0.01, 0.8), compared("house_form", 0.4, 0.2)]
    assert verdict([], same, {"allowed": False, "reasons": ["it forgot", "more"]}) == (
        "hybrid and rag-only cannot be told apart by their key facts: +1 of 100 (-4 to +6); a difference below 7 could "
        "not have been seen; the adapter may not serve: it forgot."
    )


def test_one_mode_alone_is_told_as_it_is(tmp_path, capsys):
    desk = make_desk(tmp_path)
    file = write_set(tmp_path / "questions.jsonl", [LEAVE, VPN])
    report = write_report(desk, run(desk, file, Options(modes=(Mode.RAG_ONLY,), out=tmp_path / "out")))
    assert report["verdict"].startswith("rag-only tells 75 of 100 key facts (50 to 100), and declines 0 %")
    assert (report["comparisons"], report["disagreements"]) == ([], [])
    print_report(report, tmp_path / "out")
    assert "key fact accuracy" in capsys.readouterr().out


def test_no_address_of_a_server_is_on_the_page(tmp_path, monkeypatch):
    address = "http://desk:secret@models.example/v1"
    desk = make_desk(tmp_path, chat={"server": f"{address}/"}, teacher={"server": "http://t:sesame@models.example/v1"})

    def gone(self, conversations, max_tokens, **options):
        raise DeskmateError(f"{address} cannot be reached")

    monkeypatch.setattr(EchoModel, "generate_batch", gone)
    file = write_set(tmp_path / "questions.jsonl", [LEAVE, VPN])
    write_report(desk, run(desk, file, Options(modes=(Mode.PROMPT_ONLY, Mode.RAG_ONLY), out=tmp_path / "out")))
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "the server" in text
        assert "cannot be reached" in text
        assert not [word for word in ("secret", "sesame", "models.example") if word in text]


def test_questions_are_counted_by_their_kinds(report):
    assert sum(report["questions"]["kinds"].values()) == len(QUESTIONS)
