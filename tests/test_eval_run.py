"""A question set through the real Answerer with the fakes: figures, files, and going on where a run stopped."""

import json

import pytest

from app.console import SilentProgress
from app.desk import Desk
from app.modes import Mode
from app.settings import load_settings
from eval.questions import Question
from eval.run import Options, evaluate, evaluate_modes
from ingest.errors import DeskmateError

LEAVE = "# Annual leave\n\nAnnual leave is 25 days a year for everyone in the company.\n"
VPN = "# VPN error codes\n\nError 809 on the vpn means that port 4500 is blocked by the network.\n"
SALARY = "# Salary bands\n\nThe salary band of a manager ends at 90000 euros.\n"


def question(name, text, *, gold=(), facts=(), answerable=True, kind="single"):
    return Question(name, text, answerable, tuple(gold), "", tuple(map(tuple, facts)), kind, "plain")


QUESTIONS = [
    question("leave", "How many days is annual leave a year?", gold=["leave.md"], facts=[["25 days"], ["weekends"]]),
    question("vpn", "What does error 809 on the vpn mean?", gold=["vpn.md"], facts=[["4500"]]),
    question("none", "zzyzx qwrtp", answerable=False, kind="out of scope"),
    question(
        "pay", "Where does the salary band of a manager end?", answerable=False, facts=[["90000"]], kind="restricted"
    ),
]


@pytest.fixture
def desk(tmp_path):
    folder = tmp_path / "docs"
    for name, text in (("leave.md", LEAVE), ("vpn.md", VPN), ("managers/pay.md", SALARY)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "managers" / ".access").write_text("managers\n")
    chat = {"backend": "echo", "relevance": 0.03}
    desk = Desk(load_settings(home=tmp_path / "home", retrieval={"embedder": "hashing"}, chat=chat))
    desk.ingest(SilentProgress()).run([folder])
    return desk


@pytest.fixture
def asked(desk, monkeypatch):
    """The questions that reach the model, in order."""
    seen = []
    answer = desk.answerer.answer_batch
    monkeypatch.setattr(
        desk.answerer, "answer_batch", lambda texts, **options: seen.extend(texts) or answer(texts, **options)
    )
    return seen


def test_figures_are_the_ones_that_the_answers_deserve(desk, tmp_path):
    out = tmp_path / "out"
    report = evaluate(desk, QUESTIONS, Mode.RAG_ONLY, out).report
    assert json.loads((out / "report-rag-only.json").read_text()) == report
    figures = report["all"]
    assert (report["mode"], report["model"], report["generation"]) == ("rag-only", "echo", "gen-000001")
    assert figures["questions"] == 4
    assert figures["key_fact_accuracy"]["mean"] == 0.75  # echo quotes "25 days" of two facts, and "4500"
    assert (figures["key_fact_accuracy"]["n"], figures["key_fact_accuracy"]["clusters"]) == (2, 2)
    assert figures["recall@5"]["mean"] == 1.0
    assert figures["refusal_recall"]["n"] == 2
    assert figures["over_refusal"]["mean"] == 0.0
    assert figures["restricted_facts_told"]["mean"] == 0.0
    assert figures["supported_sentences"]["mean"] == 1.0
    assert report["by_kind"]["single"]["questions"] == 2
    assert report["by_kind"]["restricted"]["restricted_facts_told"]["n"] == 1
    assert report["by_style"]["plain"] == figures


def test_every_answer_is_a_line_of_the_contract_with_its_documents(desk, tmp_path):
    evaluate(desk, QUESTIONS, Mode.RAG_ONLY, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "results-rag-only.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in QUESTIONS]
    assert lines[1]["retrieved_docs"][0] == "vpn.md"
    assert "4500" in lines[1]["answer"]
    assert not any("pay.md" in doc for line in lines for doc in line["retrieved_docs"])


def test_without_retrieval_nothing_is_measured_that_needs_it(desk, tmp_path):
    figures = evaluate(desk, QUESTIONS, Mode.PROMPT_ONLY, tmp_path / "out").report["all"]
    assert figures["recall@5"] is None
    assert figures["supported_sentences"] is None
    assert figures["key_fact_accuracy"]["mean"] == 0.0


def test_a_run_goes_on_where_it_stopped(desk, tmp_path, asked):
    out = tmp_path / "out"
    evaluate(desk, QUESTIONS, Mode.RAG_ONLY, out)
    results, journal = out / "results-rag-only.jsonl", out / "journal-rag-only.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:40])  # stopped in the middle of the third answer
    results.unlink()
    asked.clear()
    evaluate(desk, QUESTIONS, Mode.RAG_ONLY, out)
    assert asked == [one.question for one in QUESTIONS[2:]]
    assert [json.loads(line)["id"] for line in results.read_text().splitlines()] == [one.id for one in QUESTIONS]


def test_a_question_with_other_words_and_an_index_with_other_documents_are_answered_anew(desk, tmp_path, asked):
    out = tmp_path / "out"
    evaluate(desk, QUESTIONS[:2], Mode.RAG_ONLY, out)
    asked.clear()
    reworded = question("vpn", "vpn error 809?", gold=["vpn.md"])
    evaluate(desk, [QUESTIONS[0], reworded], Mode.RAG_ONLY, out)
    assert asked == ["vpn error 809?"]
    (tmp_path / "docs" / "more.md").write_text("# Parking\n\nParking is free on the roof.\n")
    desk.ingest(SilentProgress()).run([tmp_path / "docs"])
    asked.clear()
    evaluate(desk, [QUESTIONS[0], reworded], Mode.RAG_ONLY, out)
    assert len(asked) == 2


def test_a_gold_document_that_is_not_indexed_stops_the_run_before_it_starts(desk, tmp_path):
    wrong = [*QUESTIONS, question("x", "Who parks where?", gold=["parking.md"]), question("y", "?", gold=["roof.md"])]
    with pytest.raises(DeskmateError, match=r"2 gold documents are not in the index.* parking\.md"):
        evaluate(desk, wrong, Mode.RAG_ONLY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_modes_are_reported_side_by_side(desk, tmp_path, capsys):
    evaluate_modes(desk, QUESTIONS[:2], [Mode.RAG_ONLY, Mode.PROMPT_ONLY], tmp_path / "out", Options(), True)
    printed = json.loads(capsys.readouterr().out)
    assert [one["mode"] for one in printed["modes"]] == ["rag-only", "prompt-only"]
    evaluate_modes(desk, QUESTIONS[:2], [Mode.RAG_ONLY, Mode.PROMPT_ONLY], tmp_path / "out", Options(), False)
    table = capsys.readouterr().out
    assert "rag-only" in table
    assert "key fact accuracy" in table


def test_a_question_whose_documents_are_taken_away_should_be_declined(desk, tmp_path):
    report = evaluate(desk, QUESTIONS[:2], Mode.RAG_ONLY, tmp_path / "out", Options(absent=True)).report
    lines = [json.loads(line) for line in (tmp_path / "out" / "results-rag-only.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["leave", "vpn", "leave#absent", "vpn#absent"]
    assert "leave.md" in lines[0]["retrieved_docs"]
    assert "leave.md" not in lines[2]["retrieved_docs"]
    assert report["by_kind"]["absent"]["questions"] == 2
    assert report["all"]["over_refusal"]["n"] == report["all"]["refusal_recall"]["n"] == 2


def test_modes_are_compared_question_by_question(desk, tmp_path, capsys):
    evaluate_modes(desk, QUESTIONS[:2], [Mode.RAG_ONLY, Mode.PROMPT_ONLY], tmp_path / "out", Options(), True)
    [difference] = json.loads(capsys.readouterr().out)["differences"]
    assert difference["modes"] == "rag-only minus prompt-only"
    assert difference["key_fact_accuracy"]["mean"] == 0.75
    assert difference["key_fact_accuracy"]["n"] == 2
    assert json.loads((tmp_path / "out" / "report.json").read_text())["differences"] == [difference]


def test_asked_one_by_one_there_are_times_to_the_first_token(desk, tmp_path):
    report = evaluate(desk, QUESTIONS[:2], Mode.RAG_ONLY, tmp_path / "out", Options(one_by_one=True)).report
    assert report["all"]["first_token_ms"]["p50"] > 0
    assert evaluate(desk, QUESTIONS[:2], Mode.RAG_ONLY, tmp_path / "b").report["all"]["first_token_ms"] is None


def test_what_an_answer_is_worth_is_told_rule_by_rule(desk, tmp_path):
    figures = evaluate(desk, QUESTIONS[:2], Mode.RAG_ONLY, tmp_path / "out").report["all"]
    assert figures["citation_precision"]["mean"] == 1.0
    assert figures["house_form"]["mean"] == 1.0
    assert figures["house_form_written"]["mean"] == 0.0  # echo cites behind the full stop; grounding mends it
    assert figures["broken_rules"] == {}
