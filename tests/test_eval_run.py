"""Running an evaluation with the fakes: lines on disk, going on after a stop, shards, adapters, and modes that fail."""

import json

import pytest
from eval_desk import LEAVE, PAY, QUESTIONS, VPN, lines_of, make_desk, publish, write_set

from app.answering.answer import Answerer
from app.answering.modes import Mode
from app.models.llm import EchoModel
from eval.contenders import contenders
from eval.report import write_report
from eval.run import Missing, Options, Shard, run
from ingest.errors import DeskmateError

RAG, PROMPT = Mode.RAG_ONLY, Mode.PROMPT_ONLY


@pytest.fixture
def desk(tmp_path):
    return make_desk(tmp_path)


@pytest.fixture
def asked(monkeypatch):
    """The questions that reach the Answerer, in order."""
    seen = []
    answer = Answerer.answer_batch

    def listening(self, texts, **options):
        seen.extend(texts)
        return answer(self, texts, **options)

    monkeypatch.setattr(Answerer, "answer_batch", listening)
    return seen


def go(desk, tmp_path, *modes, questions=None, out="out", **options):
    file = write_set(tmp_path / "questions.jsonl", questions)
    return run(desk, file, Options(modes=modes, out=tmp_path / out, **options))


def test_every_answer_is_a_line_of_the_contract_with_what_the_model_read(desk, tmp_path):
    go(desk, tmp_path, RAG)
    lines = lines_of(tmp_path / "out", "rag-only")
    assert [line["id"] for line in lines] == [one["id"] for one in QUESTIONS]
    assert lines[1]["retrieved_docs"][0] == "vpn.md"
    assert "4500" in lines[1]["answer"]
    assert lines[1]["headings"][0] == "VPN error codes"
    assert "port 4500 is blocked" in lines[1]["texts"][0]
    assert len(lines[1]["texts"]) == lines[1]["passages"]
    assert not any("pay.md" in doc for line in lines for doc in line["retrieved_docs"])


def test_a_run_goes_on_where_it_was_killed(desk, tmp_path, asked):
    go(desk, tmp_path, RAG)
    whole = lines_of(tmp_path / "out", "rag-only")
    journal = tmp_path / "out" / "answers" / "1of1" / "rag-only.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:40])  # killed in the middle of the third answer
    (tmp_path / "out" / "results-rag-only.jsonl").unlink()
    asked.clear()
    go(desk, tmp_path, RAG)
    assert asked == [one["question"] for one in QUESTIONS[2:]]
    assert [line["answer"] for line in lines_of(tmp_path / "out", "rag-only")] == [line["answer"] for line in whole]
    asked.clear()
    go(desk, tmp_path, RAG)
    assert asked == []


def test_a_folder_with_another_evaluation_is_left_alone(desk, tmp_path):
    go(desk, tmp_path, RAG)
    before = (tmp_path / "out" / "results-rag-only.jsonl").read_bytes()
    with pytest.raises(DeskmateError, match=r"holds another evaluation \(questions differ\); name another folder"):
        go(desk, tmp_path, RAG, questions=[LEAVE])
    with pytest.raises(DeskmateError, match=r"\(modes.prompt-only differ\)"):
        go(desk, tmp_path, RAG, PROMPT)
    with pytest.raises(DeskmateError, match=r"\(context differ\)"):
        go(desk, tmp_path, RAG, oracle=True)
    assert (tmp_path / "out" / "results-rag-only.jsonl").read_bytes() == before
    with pytest.raises(DeskmateError, match=r"docs is no folder of deskmate eval"):
        go(desk, tmp_path, RAG, out="docs")


def test_without_a_folder_every_evaluation_gets_its_own_and_finds_it_again(desk, tmp_path, asked):
    file = write_set(tmp_path / "questions.jsonl")
    first = run(desk, file, Options(modes=(RAG,)))
    assert first.out.parent == desk.workspace.root / "reports"
    assert first.out.name.startswith("questions-")
    assert run(desk, file, Options(modes=(PROMPT,))).out != first.out
    asked.clear()
    assert run(desk, file, Options(modes=(RAG,))).out == first.out
    assert asked == []


def test_all_modes_that_can_be_served_are_measured_by_default(desk, tmp_path):
    assert [one.label for one in go(desk, tmp_path).entrants] == ["rag-only", "prompt-only"]
    publish(desk, tmp_path)
    labels = [one.label for one in go(desk, tmp_path, out="tuned", adapters=("house",)).entrants]
    assert labels == ["hybrid", "rag-only", "tune-only", "prompt-only"]
    with pytest.raises(DeskmateError, match="the mode hybrid needs a tuned adapter"):
        go(desk, tmp_path, Mode.HYBRID, out="none")


def test_several_adapters_run_in_the_tuned_modes_and_the_rest_runs_once(desk, tmp_path):
    for name in ("house", "house", "other"):
        publish(desk, tmp_path, name)
    done = go(desk, tmp_path, Mode.HYBRID, RAG, adapters=("house/v1", "house/v2", "other"))
    labels = ["hybrid (house/v1)", "hybrid (house/v2)", "hybrid (other/v1)", "rag-only"]
    assert [one.label for one in done.entrants] == labels
    assert len({id(one.desk.model) for one in done.entrants}) == 1
    assert {line["adapter"] for line in lines_of(done.out, "hybrid-house-v2")} == {"house/v2"}
    assert {line["mode"] for line in lines_of(done.out, "hybrid-house-v2")} == {"hybrid (house/v2)"}
    for name in ("a-b", "a_b"):
        publish(desk, tmp_path, name)
    files = [one.file for one in contenders(desk, [Mode.HYBRID], ("a-b", "a_b"))]
    assert files == ["hybrid-a-b-v1", "hybrid-a_b-v1"]  # of which neither takes the other's answers for its own
    with pytest.raises(DeskmateError, match="two of the adapters have the same name"):
        go(desk, tmp_path, Mode.HYBRID, adapters=("house", "house/v2"), out="twice")


@pytest.mark.parametrize("absent", [False, True])
def test_shards_together_say_what_one_run_says(desk, tmp_path, absent, asked):
    whole = go(desk, tmp_path, RAG, PROMPT, out="whole", absent=absent)
    asked.clear()
    missing = go(desk, tmp_path, RAG, PROMPT, shard=Shard(2, 3), absent=absent)
    assert isinstance(missing, Missing)
    assert missing.shards == ("1of3", "3of3")
    assert not (missing.out / "results-rag-only.jsonl").exists()
    go(desk, tmp_path, RAG, PROMPT, shard=Shard(3, 3), absent=absent)
    merged = go(desk, tmp_path, RAG, PROMPT, shard=Shard(1, 3), absent=absent)
    assert len(asked) == 2 * (6 if absent else 4)  # each question once in each mode
    reports = [write_report(desk, one) for one in (whole, merged)]
    assert list(map(timeless, reports[1]["modes"])) == list(map(timeless, reports[0]["modes"]))
    for name in ("comparisons", "calibration", "disagreements", "verdict", "questions"):
        assert reports[1][name] == reports[0][name]
    for mode in ("rag-only", "prompt-only"):
        of_both = [[line | {"timing": None} for line in lines_of(one.out, mode)] for one in (whole, merged)]
        assert of_both[0] == of_both[1]


def timeless(value):
    """Figures without what a clock says."""
    if not isinstance(value, dict):
        return value
    return {
        k: timeless(one) for k, one in value.items() if k not in ("total_ms", "first_token_ms", "answers_per_minute")
    }


def test_an_answer_that_fails_is_marked_and_costs_nobody_else_anything(desk, tmp_path, monkeypatch):
    echo = EchoModel.generate_batch

    def failing(self, conversations, max_tokens, **options):
        if any("809" in turns[-1]["content"].splitlines()[-1] for turns in conversations):
            raise DeskmateError("the server went away")
        return echo(self, conversations, max_tokens, **options)

    monkeypatch.setattr(EchoModel, "generate_batch", failing)
    done = go(desk, tmp_path, RAG, PROMPT)
    lines = {line["id"]: line for line in lines_of(done.out, "rag-only")}
    assert lines["vpn"] == {
        "id": "vpn", "question": VPN["question"], "mode": "rag-only", "failed": "the server went away"
    }  # fmt: skip
    assert "25 days" in lines["leave"]["answer"]
    report = write_report(desk, done)
    assert [(mode["failed"], mode["failure"]) for mode in report["modes"]] == [(1, "the server went away")] * 2
    assert report["modes"][0]["all"]["questions"] == 3
    monkeypatch.setattr(EchoModel, "generate_batch", echo)  # the server is back
    again = write_report(desk, go(desk, tmp_path, RAG, PROMPT))
    assert [mode["failed"] for mode in again["modes"]] == [0, 0]


def test_a_mode_whose_model_cannot_load_fails_alone(desk, tmp_path, monkeypatch):
    publish(desk, tmp_path)

    def load(self, adapter=None):
        if adapter:
            raise DeskmateError("the adapter is for another base")

    monkeypatch.setattr(EchoModel, "load", load)
    report = write_report(desk, go(desk, tmp_path, Mode.HYBRID, RAG, adapters=("house",)))
    assert [(mode["mode"], mode["failed"]) for mode in report["modes"]] == [("hybrid", 4), ("rag-only", 0)]
    assert report["modes"][1]["all"]["key_fact_accuracy"]["mean"] == 0.75


def test_a_mode_that_keeps_failing_is_given_up(desk, tmp_path, monkeypatch):
    calls = []

    def failing(self, conversations, max_tokens, **options):
        calls.append(len(conversations))
        raise DeskmateError("gone")

    monkeypatch.setattr(EchoModel, "generate_batch", failing)
    many = [LEAVE | {"id": f"q{n}"} for n in range(12)]
    lines = lines_of(go(desk, tmp_path, PROMPT, questions=many).out, "prompt-only")
    assert calls == [12, 1, 1, 1, 1, 1]
    assert [line["failed"].startswith("not asked after 5 failures") for line in lines] == [False] * 5 + [True] * 7


def test_a_question_whose_documents_are_taken_away_should_be_declined(desk, tmp_path):
    report = write_report(desk, go(desk, tmp_path, RAG, questions=[LEAVE, VPN], absent=True))
    lines = lines_of(tmp_path / "out", "rag-only")
    assert [line["id"] for line in lines] == ["leave", "vpn", "leave#absent", "vpn#absent"]
    assert "leave.md" in lines[0]["retrieved_docs"]
    assert "leave.md" not in lines[2]["retrieved_docs"]
    assert report["modes"][0]["by_kind"]["absent"]["questions"] == 2
    figures = report["modes"][0]["all"]
    assert figures["over_refusal"]["n"] == figures["refusal_recall"]["n"] == 2


def test_with_the_oracle_the_model_reads_the_gold_documents_whatever_search_found(desk, tmp_path):
    odd = VPN | {"question": "How many days is annual leave a year?"}  # nothing leads search to its gold document
    go(desk, tmp_path, RAG, questions=[odd, PAY], oracle=True)
    vpn, pay = lines_of(tmp_path / "out", "rag-only")
    assert set(vpn["retrieved_docs"]) == {"vpn.md"}
    assert not any("pay.md" in doc for doc in pay["retrieved_docs"])  # what is closed stays closed


def test_asked_one_by_one_there_are_times_to_the_first_token(desk, tmp_path):
    figures = write_report(desk, go(desk, tmp_path, RAG, one_by_one=True))["modes"][0]["all"]
    assert figures["first_token_ms"]["p50"] > 0
    together = write_report(desk, go(desk, tmp_path, RAG, out="together"))["modes"][0]["all"]
    assert together["first_token_ms"] is None


def test_the_identity_of_a_run_is_on_disk_and_holds_no_secret(tmp_path):
    desk = make_desk(tmp_path, chat={"server_key": "hush-hush"})
    out = go(desk, tmp_path, RAG).out
    write_report(desk, go(desk, tmp_path, RAG))
    assert json.loads((out / "run.json").read_text())["modes"] == {"rag-only": None}
    assert "hush" not in (out / "run.json").read_text() + (out / "report.json").read_text()
