"""What is refused before a model loads, and what the gate lets through."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from eval_desk import LEAVE, QUESTIONS, VPN, make_desk, publish, question, write_set
from test_eval_report import declined, right, wrong

from app.answering.modes import Mode
from app.cli import main
from app.console import SilentProgress
from app.desk import Desk
from app.models.llm import EchoModel
from app.settings import load_settings
from eval import report as reports
from eval.checks import seen, training_data, tuned_documents
from eval.gate import Evidence, decide, promote
from eval.questions import read_question_set
from eval.run import Options, run
from finetune.adapters.tuned_on import read_tuned_on
from ingest.errors import DeskmateError

KEPT = {"questions": 120, "base": 0.5, "adapter": 0.49, "points": {"mean": -1.0, "low": -3.0, "high": 1.0}}
HYBRID = Options(modes=(Mode.HYBRID, Mode.RAG_ONLY), adapters=("house",))


@pytest.fixture
def desk(tmp_path, monkeypatch):
    def load(self, adapter=None):
        raise AssertionError("nothing may load before the checks")

    monkeypatch.setattr(EchoModel, "load", load)
    return make_desk(tmp_path)


def test_a_gold_document_that_is_not_indexed_stops_the_run_before_it_starts(desk, tmp_path):
    wrong = [*QUESTIONS, question("x", "Who parks?", gold=["parking.md"]), question("y", "?", gold=["roof.md"])]
    with pytest.raises(DeskmateError, match=r"2 gold documents are not in the index.* parking\.md"):
        run(desk, write_set(tmp_path / "q.jsonl", wrong), Options(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_empty_set_and_a_question_without_an_id_are_refused_with_their_place(desk, tmp_path):
    with pytest.raises(DeskmateError, match=r"q\.jsonl holds no question"):
        run(desk, write_set(tmp_path / "q.jsonl", []), Options())
    with pytest.raises(DeskmateError, match=r"q\.jsonl:2: id: Field required"):
        run(desk, write_set(tmp_path / "q.jsonl", [LEAVE, {"question": "?", "answerable": True}]), Options())


def test_questions_that_the_adapter_was_tuned_on_are_refused_with_the_overlap(desk, tmp_path):
    near = "So how many days is annual leave a year?"
    publish(desk, tmp_path, tuned_on=["Who pays for parking?", near, VPN["question"]])
    with pytest.raises(DeskmateError) as refused:
        run(desk, write_set(tmp_path / "q.jsonl"), HYBRID)
    assert str(refused.value).startswith("house/v1 was tuned on 2 of 4 questions of q.jsonl: leave “How many days")
    assert f"is nearly “{near}”" in str(refused.value)
    assert "vpn “What does error 809 on the vpn mean?” is “What does error" in str(refused.value)
    assert "deskmate synth --questions q.jsonl" in str(refused.value)


def test_an_adapter_carries_its_questions_and_says_when_it_does_not(desk, tmp_path, monkeypatch):
    assert read_tuned_on(publish(desk, tmp_path, "old")) is None
    adapter = publish(desk, tmp_path, tuned_on=["Who pays?", "Who pays?", "Wer zahlt für Bücher?"])
    assert read_tuned_on(adapter) == ["Who pays?", "Wer zahlt für Bücher?"]
    monkeypatch.setattr(EchoModel, "load", lambda self, adapter=None: None)
    file = write_set(tmp_path / "q.jsonl")
    known, unknown = (run(desk, file, Options(adapters=(name,))).audits[0] for name in ("house", "old"))
    assert (known.adapter, known.tuned_on) == ("house/v1", 2)
    assert unknown.tuned_on is None
    assert training_data(desk, adapter) is None  # the workspace has no data, least of all the adapter's


def test_the_workspaces_data_counts_while_it_is_what_the_adapter_was_made_of(desk):
    desk.workspace.qa.mkdir(parents=True)
    (desk.workspace.qa / "train.jsonl").write_bytes(b"rows")
    adapter = SimpleNamespace(card=SimpleNamespace(data_hash=hashlib.sha256(b"rows").hexdigest()))
    assert training_data(desk, adapter) == desk.workspace.qa
    (desk.workspace.qa / "held_out.jsonl").write_bytes(b"synthesised anew")
    assert training_data(desk, adapter) is None


def test_a_document_that_was_moved_or_copied_since_was_tuned_on_all_the_same(desk, tmp_path):
    adapter = publish(desk, tmp_path, docs=("leave.md",))
    docs = tmp_path / "docs"
    (docs / "holidays.md").write_bytes((docs / "leave.md").read_bytes())
    (docs / "leave.md").write_text("# Annual leave\n\nAnnual leave is 26 days a year.\n")
    desk.ingest(SilentProgress()).run([docs])
    tuned_on = tuned_documents(desk, adapter)
    assert tuned_on == {"leave.md", "holidays.md"}  # by its name, though it says something else now; by its bytes
    file = write_set(tmp_path / "q.jsonl", [question("copy", "Who?", gold=["holidays.md"]), VPN])
    assert [seen(one, tuned_on) for one in read_question_set(file)] == [True, False]


def answers(kinds, documents):
    """Answers about so many documents; None for one that failed."""
    made = {f"q{n}": make and make(id=f"q{n}", doc=f"{n % documents}.md") for n, make in enumerate(kinds)}
    return {id: one for id, one in made.items() if one}


def gate(hybrid, rag_only, forgetting=KEPT, tuned_on=(), margin=0.02, documents=100, audited=True):
    asked = [one.question for one in answers([right] * len(hybrid), documents).values()]
    found = (answers(kinds, documents) for kinds in (hybrid, rag_only))
    return decide(Evidence(asked, *found, frozenset(tuned_on), audited, forgetting), margin)


def test_an_adapter_that_costs_nothing_is_let_through():
    decision = gate([right] * 20, [right] * 15 + [wrong] * 5)
    assert decision.allowed
    assert decision.reasons[0].startswith("key facts on 20 held-out questions: +25.0 points")
    assert decision.facts.low > 0


def test_facts_that_may_be_lost_keep_the_gate_shut_even_where_the_mean_is_no_worse():
    decision = gate([right, wrong] * 10, [wrong, right] * 10)
    assert decision.facts.mean == 0
    assert decision.reasons == (
        f"hybrid may tell fewer key facts than rag-only on 20 held-out questions: +0.0 points "
        f"({100 * decision.facts.low:+.1f} to {100 * decision.facts.high:+.1f}); the interval must end above -2",
    )
    assert gate([right, wrong] * 10, [wrong, right] * 10, margin=1.0).allowed


def test_only_documents_that_it_was_not_tuned_on_count():
    seen = [f"{n}.md" for n in range(15)]
    assert gate([right] * 20, [wrong] * 15 + [right] * 5, tuned_on=seen).reasons[0] == (
        "answerable questions about documents that it was not tuned on: 5, about 5 of them; 10 such documents are the "
        "least"
    )
    assert gate([wrong] * 5 + [right] * 15, [right] * 20, tuned_on=seen[:5]).allowed


def test_questions_about_one_document_prove_nothing_however_many_there_are():
    decision = gate([right] * 39 + [wrong], [right] * 40, margin=0.03, documents=1)
    assert (decision.facts.low, decision.facts.high) == (-0.025, -0.025)  # the bootstrap of one document has no width
    assert "40, about 1 of them; 10 such documents are the least" in decision.reasons[0]
    assert "20, about 9 of them" in gate([right] * 20, [right] * 20, documents=9).reasons[0]
    assert gate([right] * 20, [right] * 20, documents=10).allowed


def test_false_answers_must_not_go_up_though_facts_do():
    hybrid, rag_only = [right] * 12 + [wrong] * 4, [right] * 12 + [declined] * 4
    [reason] = gate(hybrid, rag_only).reasons
    assert reason.startswith("false answers went up: +25.0 points")
    assert gate(rag_only, rag_only).allowed


def test_what_it_forgot_counts_and_must_have_been_measured():
    forgot = KEPT | {"points": {"mean": -2.1, "low": -4.0, "high": 0.0}}
    same = [right] * 12
    assert gate(same, same, forgot).reasons == ("it forgot: -2.1 points of general knowledge, -2 at most",)
    reason = "what tuning made it forget was not measured: the server went away"
    assert gate(same, same, {"failed": "the server went away"}).reasons == (reason,)


def test_questions_that_failed_in_one_mode_or_in_both_keep_it_shut():
    reason = "questions without an answer in both modes: {}; run it again"
    assert gate([right] * 12 + [None], [right] * 13).reasons == (reason.format(1),)
    assert gate([right] * 12 + [None, None], [right] * 12 + [None, right]).reasons == (reason.format(2),)
    assert gate([None] * 3 + [right] * 12, [None] * 3 + [right] * 12).reasons == (reason.format(3),)


def test_an_adapter_whose_questions_nobody_knows_may_have_been_tuned_on_these():
    [reason] = gate([right] * 12, [right] * 12, audited=False).reasons
    assert reason == "the questions that it was tuned on are not known, so these may be among them"


def test_the_gate_needs_hybrid_under_one_adapter_and_rag_only(desk, tmp_path):
    file = write_set(tmp_path / "q.jsonl")
    with pytest.raises(DeskmateError, match="the gate holds one adapter in hybrid against rag-only"):
        run(desk, file, Options(modes=(Mode.RAG_ONLY,), gate=True))


@pytest.mark.parametrize("other", ["oracle", "absent"])
def test_the_gate_decides_on_what_search_finds(desk, tmp_path, other):
    publish(desk, tmp_path)
    with pytest.raises(DeskmateError, match="leave out --oracle and --absent"):
        run(desk, write_set(tmp_path / "q.jsonl"), Options(adapters=("house",), gate=True, **{other: True}))


def test_an_adapter_outside_the_workspace_is_not_promoted_but_named(desk, tmp_path):
    mine = publish(desk, tmp_path)
    assert promote(desk, mine).startswith("house/v1 serves from the next question on")
    assert desk.registry.served_id() == "house/v1"
    (tmp_path / "other").mkdir()
    stranger = publish(make_desk(tmp_path / "other"), tmp_path, tuned_on=["Who?"])
    assert "lies outside the workspace" in promote(desk, stranger)
    settings = desk.settings.model_copy(update={"home": tmp_path / "third"})
    chat = settings.chat.model_copy(update={"adapter": str(stranger.folder)})
    assert "serves already" in promote(Desk(settings.model_copy(update={"chat": chat})), stranger)


@pytest.fixture
def deskmate(tmp_path, monkeypatch, capsys):
    """`deskmate eval` in this process; what it printed, what it said on standard error, and its exit code."""
    publish(make_desk(tmp_path), tmp_path, tuned_on=["Who pays for parking?"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deskmate.toml").write_text(
        '[retrieval]\nembedder = "hashing"\n[chat]\nbackend = "echo"\nconfidence = 0.05\n'
        '[eval]\nquestions = "q.jsonl"\n'
    )
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "home"))
    write_set(tmp_path / "q.jsonl")

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["deskmate", "eval", *args])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return *capsys.readouterr(), code

    return call


def test_without_options_everything_that_can_be_served_is_measured(deskmate):
    out, err, code = deskmate()
    assert (err, code) == ("", 0)
    assert out.startswith("\nrag-only and prompt-only cannot be told apart by their key facts: +75 of 100")
    assert "prompt-only" in out


def test_the_gate_exits_with_1_and_its_reasons_and_promotes_nothing(deskmate, tmp_path):
    out, err, code = deskmate("--gate", "--adapter", "house", "--json")
    report = json.loads(out)
    assert code == 1
    assert err.splitlines() == [f"deskmate: house/v1 is not let through: {one}" for one in report["gate"]["reasons"]]
    assert "answerable questions about documents that it was not tuned on: 1, about 1 of them;" in err
    assert report["command"] == "deskmate eval --gate --adapter house --json"
    assert not (tmp_path / "home" / "adapters" / "SERVED").exists()


@pytest.fixture
def ten_errors(deskmate, monkeypatch, tmp_path):
    """A question about each of ten documents that the adapter was not tuned on; it forgot little."""
    monkeypatch.setattr(reports, "forgetting", lambda model, adapter: KEPT)
    questions = []
    for n in range(810, 820):
        (tmp_path / "docs" / f"{n}.md").write_text(f"# Error {n}\n\nError {n} means that port {n + 4000} is blocked.\n")
        questions.append(question(str(n), f"What does error {n} mean?", gold=[f"{n}.md"], facts=[[str(n + 4000)]]))
    Desk(load_settings()).ingest(SilentProgress()).run([tmp_path / "docs"])
    write_set(tmp_path / "q.jsonl", questions)


@pytest.mark.usefixtures("ten_errors")
def test_the_gate_promotes_what_it_lets_through(deskmate, tmp_path):
    out, err, code = deskmate("--gate", "--adapter", "house")
    assert (err, code) == ("", 0)
    assert "house/v1 serves from the next question on" in out
    assert json.loads((tmp_path / "home" / "adapters" / "SERVED").read_text()) == ["house/v1"]


@pytest.mark.usefixtures("ten_errors")
def test_nothing_is_promoted_while_an_answer_of_any_mode_has_failed(deskmate, monkeypatch, tmp_path):
    generate = EchoModel.generate_batch

    def picky(self, conversations, max_tokens, **options):
        if any("error 815" in turns[-1]["content"] for turns in conversations):
            raise DeskmateError("the server went away")
        return generate(self, conversations, max_tokens, **options)

    monkeypatch.setattr(EchoModel, "generate_batch", picky)
    _, err, code = deskmate("--gate", "--adapter", "house")
    assert code == 1
    assert "house/v1 is not let through: questions without an answer in both modes: 1; run it again" in err
    assert "4 answers failed" in err
    assert not (tmp_path / "home" / "adapters" / "SERVED").exists()


@pytest.mark.usefixtures("deskmate")
def test_a_probe_that_fails_says_why_at_the_gate_and_on_the_page(deskmate, monkeypatch):
    def failing(model, adapter):
        raise DeskmateError("http://127.0.0.1:8000/v1 cannot be reached")

    monkeypatch.setattr(reports, "forgetting", failing)
    out, err, _ = deskmate("--gate", "--adapter", "house", "--json")
    report = json.loads(out)
    assert report["forgetting"] == {"failed": "http://127.0.0.1:8000/v1 cannot be reached"}
    assert "what tuning made it forget was not measured: http://127.0.0.1:8000/v1 cannot be reached" in err
    page = (Path(report["out"]) / "report.md").read_text()
    assert "It could not be measured: \\[the server\\] cannot be reached" in page
    assert "forgetting probe: http://127" in deskmate("--gate", "--adapter", "house")[0]


def test_shards_and_failures_are_told_by_the_command_line(deskmate, monkeypatch):
    out, _, code = deskmate("--shard", "1/2")
    assert ("the report needs 2of2" in out, code) == (True, 0)
    assert deskmate("--shard", "3/2")[2] == 2
    assert deskmate("--modes", "rag")[2] == 2

    def gone(self, conversations, max_tokens, **options):
        raise DeskmateError("the server went away")

    monkeypatch.setattr(EchoModel, "generate_batch", gone)
    _, err, code = deskmate("--modes", "prompt-only")
    assert code == 1
    assert err.startswith("deskmate: 4 answers failed; they are marked in")


def test_a_question_set_must_be_named(deskmate, tmp_path):
    (tmp_path / "deskmate.toml").write_text("")
    assert "name a question set: --questions FILE" in deskmate()[1]
