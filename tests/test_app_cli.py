"""The command line as people and scripts meet it: what goes to which stream, and the exit code."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from office import POLICIES, Office

from app.cli import main

QUESTION = "Which port is blocked when I get error 809?"
FAKES = {
    "DESKMATE_RETRIEVAL__EMBEDDER": "hashing",
    "DESKMATE_CHAT__BACKEND": "echo",
    "DESKMATE_CHAT__CONFIDENCE": "0.05",
}
RESULT = {"rank", "score", "doc", "title", "heading", "page", "chunk_id", "start", "end", "text"}
CITATION = {"n", "doc", "heading", "page", "chunk_id", "start", "end", "quote"}
ANSWER = {
    *("question", "mode", "answer", "refused", "confidence", "citations", "retrieved"),
    *("usage", "timing", "model", "adapter", "generation"),
}


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The one object on standard output."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1, "one line and nothing else"
        return json.loads(self.out)

    @property
    def problem(self) -> str:
        """The one line that says what the user can mend."""
        assert self.code == 1
        assert self.out == ""
        assert self.err.startswith("deskmate: ")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err.strip()


@pytest.fixture
def deskmate(office: Office, monkeypatch, capsys):
    """Run a command in this process, with the fakes, on the office's workspace."""
    for name, value in FAKES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESKMATE_HOME", str(office.workspace.root))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["deskmate", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def policies(office: Office, deskmate) -> Office:
    office.write({**POLICIES, "hr/managers/.access": "managers\n", "bad.pdf": b"%PDF-1.7\nnot really", "x.exe": "x"})
    assert deskmate("ingest", office.docs).code == 0
    return office


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def question_file(path: Path, *questions: object) -> Path:
    path.write_text("".join((q if isinstance(q, str) else json.dumps(q)) + "\n" for q in questions))
    return path


# One JSON object


def test_ingest_says_what_it_did_as_one_object(office: Office, deskmate) -> None:
    office.write({**POLICIES, "bad.pdf": b"%PDF-1.7\nnot really", "x.exe": "x"})
    data = deskmate("ingest", office.docs, "--json").json
    assert set(data) == {
        *("generation", "published", "new", "changed", "unchanged", "gone", "quarantined", "skipped"),
        *("documents", "chunks", "embedded", "reused", "seconds"),
    }
    assert (data["generation"], data["published"], data["documents"], data["chunks"]) == ("gen-000001", True, 4, 4)
    assert sorted(data["new"]) == sorted([*POLICIES, "bad.pdf"])
    assert [entry["doc"] for entry in data["quarantined"]] == ["bad.pdf"]
    assert data["skipped"] == {".exe": 1}
    again = deskmate("ingest", office.docs, "--json").json
    assert (again["published"], again["unchanged"], again["new"]) == (False, 5, [])


def test_search_prints_the_contracts_keys(policies: Office, deskmate) -> None:
    data = deskmate("search", QUESTION, "-k", 2, "--json").json
    assert set(data) == {"query", "generation", "results"}
    assert (data["query"], data["generation"], len(data["results"])) == (QUESTION, "gen-000001", 2)
    for result in data["results"]:
        assert set(result) == RESULT
    first = data["results"][0]
    text = policies.searcher().document(first["doc"]).text
    assert (first["rank"], first["doc"], first["title"]) == (1, "it/vpn.md", "VPN")
    assert text[first["start"] : first["end"]] == first["text"]


@pytest.mark.parametrize("method", ["hybrid", "dense", "bm25"])
def test_search_takes_a_method_and_groups(policies: Office, deskmate, method: str) -> None:
    def docs(*options: str) -> set[str]:
        data = deskmate("search", "bonus pool", "--method", method, *options, "--json").json
        return {result["doc"] for result in data["results"]}

    assert "hr/managers/bonus.md" not in docs()
    assert "hr/managers/bonus.md" not in docs("--groups", "hr,staff")
    assert "hr/managers/bonus.md" in docs("--groups", " staff , managers ")


def test_ask_prints_the_contracts_keys(policies: Office, deskmate) -> None:
    data = deskmate("ask", QUESTION, "--json").json
    assert set(data) == ANSWER
    assert set(data["usage"]) == {"prompt_tokens", "completion_tokens"}
    assert set(data["timing"]) == {"retrieval_ms", "first_token_ms", "total_ms"}
    assert (data["mode"], data["model"], data["adapter"], data["refused"]) == ("rag-only", "echo", None, False)
    (citation,) = data["citations"]
    assert set(citation) == CITATION
    assert citation["chunk_id"] == data["retrieved"][0]
    assert citation["quote"] in policies.searcher().document("it/vpn.md").text


def test_ask_without_retrieval_retrieves_nothing(policies: Office, deskmate) -> None:
    data = deskmate("ask", QUESTION, "--mode", "prompt-only", "--json").json
    assert (data["retrieved"], data["citations"], data["generation"]) == ([], [], None)


def test_status_and_config_print_one_object(policies: Office, deskmate) -> None:
    status = deskmate("status", "--json").json
    assert set(status) >= {"generation", "created", "embedder", "documents", "chunks", "quarantined"}
    assert (status["documents"], status["quarantined"]) == (4, 1)
    config = deskmate("config", "--json").json
    assert (config["retrieval.embedder"], config["chat.backend"]) == ("hashing", "echo")


# For people


def test_people_are_told_where_it_was_written_and_what_to_run_next(office: Office, deskmate) -> None:
    office.write({**POLICIES, "bad [x].pdf": b"%PDF-1.7\nnot really"})
    ran = deskmate("ingest", office.docs)
    assert ran.code == 0
    for part in ("4 documents, 4 chunks", "5 new", str(office.workspace.index), "bad [x].pdf: ", "next: deskmate ask"):
        assert part in ran.out
    assert "nothing to do" in deskmate("ingest", office.docs).out
    assert "bad [x].pdf: " in deskmate("status").out


def test_people_see_passages_and_cited_answers(policies: Office, deskmate) -> None:
    found = deskmate("search", QUESTION).out
    assert "1. VPN" in found
    assert "it/vpn.md" in found
    answered = deskmate("ask", QUESTION).out
    assert "port 4500 is blocked [1]." in answered
    assert "[1] it/vpn.md" in answered
    declined = deskmate("ask", "How tall is Mount Everest in furlongs?").out
    assert "could not find this" in declined
    assert "closest passages:" in declined


def test_titles_and_names_that_look_like_markup_are_shown_as_they_are(office: Office, deskmate) -> None:
    title = r"Prices [/bold] \[/red] [link=x] and more \ "
    office.write({"[red]a[/].md": f"# {title}\n\nParking is free.\n", "b.txt": "[/nothing]\n\nParking costs.\n"})
    assert deskmate("ingest", office.docs).code == 0
    for command in (("search", "parking"), ("ask", "Is parking free?"), ("status",)):
        ran = deskmate(*command)
        assert ran.code == 0, ran.err
        assert "[red]a[/].md" in ran.out


# Exit codes


def test_what_the_user_can_mend_is_one_line_and_exit_code_1(office: Office, deskmate) -> None:
    assert "there is no file or folder" in deskmate("ingest", office.docs / "no\nwhere").problem
    assert "there is no index yet; run: deskmate ingest" in deskmate("search", "vpn").problem
    assert "there is no index yet" in deskmate("ask", "vpn", "--json").problem
    assert "there is no index yet" in deskmate("status").problem
    office.write(POLICIES)
    deskmate("ingest", office.docs)
    assert "the question is empty" in deskmate("search", "").problem
    assert "the question is empty" in deskmate("ask", " ", "--json").problem
    assert "100,000 characters" in deskmate("search", "x" * 100_000).problem
    assert "not valid Unicode" in deskmate("search", os.fsdecode(b"caf\xe9")).problem
    assert "needs a tuned adapter" in deskmate("ask", "vpn", "--mode", "hybrid").problem
    for name in POLICIES:
        (office.docs / name).unlink()
    assert "--allow-shrink" in deskmate("ingest", office.docs, "--json").problem
    assert deskmate("ingest", office.docs, "--allow-shrink").code == 0


def test_wrong_settings_are_one_line_and_exit_code_1(deskmate, monkeypatch) -> None:
    monkeypatch.setenv("DESKMATE_CHAT__PORT", "none")
    monkeypatch.setenv("DESKMATE_RETRIEVAL__K", "-1")
    problem = deskmate("search", "vpn").problem
    assert "chat.port" in problem
    assert "retrieval.k" in problem
    monkeypatch.delenv("DESKMATE_CHAT__PORT")
    monkeypatch.delenv("DESKMATE_RETRIEVAL__K")
    monkeypatch.setenv("DESKMATE_RETRIEVAL__EMBEDDER", "no/such/model")
    assert "'no/such/model' is not on this machine" in deskmate("search", "vpn").problem


@pytest.mark.parametrize(
    "args",
    [
        ("fly",),
        ("ingest",),
        ("search",),
        ("search", "vpn", "-k", "0"),
        ("search", "vpn", "-k", "many"),
        ("search", "vpn", "--method", "magic"),
        ("search", "vpn", "--batch", "q.jsonl"),
        ("search", "--batch", "q.jsonl"),
        ("search", "--out", "r.jsonl"),
        ("ask", "vpn", "--mode", "magic"),
        ("ask", "vpn", "--batch", "q.jsonl", "--out", "r.jsonl"),
        ("ingest", ".", "--access", " , "),
        ("status", "--loud"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(deskmate, args: tuple[str, ...]) -> None:
    ran = deskmate(*args)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err
    assert "Traceback" not in ran.err


def test_an_unforeseen_error_keeps_its_traceback(deskmate, monkeypatch) -> None:
    monkeypatch.setattr("app.desk.Desk.__init__", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        deskmate("status")


def test_access_groups_may_be_given_with_commas_or_one_by_one(office: Office, deskmate) -> None:
    office.write({"a.md": "Parking is free."})
    deskmate("ingest", office.docs, "--access", "hr,board", "--access", "führung")
    (document,) = office.store.open().table.documents()
    assert document.access == {"hr", "board", "führung"}


def start(office: Office, *args: object, **options: object) -> subprocess.Popen:
    """Run a command as a process of its own, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", *map(str, args)],
        env={**os.environ, **FAKES, "DESKMATE_HOME": str(office.workspace.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C, and would have its children ignore it too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def alive(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def test_ctrl_c_stops_an_ingest_with_exit_code_130_and_loses_nothing(office: Office) -> None:
    office.write({"first.md": "Parking is free."})
    office.ingest()
    office.write({f"{n}.txt": f"Paragraph {n} about leave.\n\n" * 8000 for n in range(20)})
    process = start(office, "ingest", office.docs)
    deadline = time.monotonic() + 60
    while not office.leftovers() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert office.leftovers(), "the run is in the midst of its work"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "deskmate: stopped; nothing was lost\n")
    assert office.leftovers() == []
    assert office.found("parking") == ["first.md"]
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(process.pid) == []


def test_a_reader_that_goes_away_is_no_error(policies: Office) -> None:
    """As in `deskmate search … | head -1`."""
    with start(policies, "search", QUESTION) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode in (0, 1)
    assert "Traceback" not in err


# Batches


def test_a_batch_search_keeps_the_order_and_gives_each_line_its_id(policies: Office, deskmate, tmp_path: Path) -> None:
    asked = [{"id": f"q{n}", "question": f"vpn or leave {n}?", "kind": "x"} for n in range(70)]
    asked[3]["question"] = "line\u2028separator\x85 and “quotes”"
    out = tmp_path / "results.jsonl"
    questions = question_file(tmp_path / "questions.jsonl", *asked[:3], "", json.dumps(asked[3], ensure_ascii=False))
    with open(questions, "a") as file:
        file.writelines(json.dumps(one) + "\n" for one in asked[4:])
    data = deskmate("search", "--batch", questions, "--out", out, "-k", 2, "--json").json
    assert data == {"lines": 70, "out": str(out)}
    results = lines(out)
    assert [(one["id"], one["query"]) for one in results] == [(one["id"], one["question"]) for one in asked]
    assert all(set(one) == {"id", "query", "generation", "results"} for one in results)
    assert all(len(one["results"]) <= 2 for one in results)
    alone = deskmate("search", asked[5]["question"], "-k", 2, "--json").json
    assert results[5] == {"id": "q5", **alone}
    assert not list(tmp_path.glob("*.partial"))


def test_a_batch_takes_the_settings_number_of_passages(policies: Office, deskmate, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DESKMATE_RETRIEVAL__K", "1")
    questions = question_file(tmp_path / "q.jsonl", {"id": "a", "question": "vpn leave printer"})
    assert deskmate("search", "--batch", questions, "--out", tmp_path / "r.jsonl").code == 0
    assert len(lines(tmp_path / "r.jsonl")[0]["results"]) == 1


def test_a_batch_of_questions_is_answered_in_order(policies: Office, deskmate, tmp_path: Path) -> None:
    asked = [{"id": "b", "question": QUESTION}, {"id": "a", "question": "Annual leave days?"}]
    questions, out = question_file(tmp_path / "q.jsonl", *asked), tmp_path / "answers.jsonl"
    ran = deskmate("ask", "--batch", questions, "--out", out)
    assert (ran.code, ran.out) == (0, f"2 lines in {out}\n")
    answers = lines(out)
    assert [one["id"] for one in answers] == ["b", "a"]
    assert all(set(one) == {"id", *ANSWER} for one in answers)
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture
def stopped(policies: Office, deskmate, tmp_path: Path, monkeypatch):
    """A batch of six questions that was stopped in the fourth; and a counter of the answers given since."""
    from app.desk import Desk

    asked = [{"id": f"q{n}", "question": f"Error 809 on port 4500, day {n}?"} for n in range(6)]
    questions, out = question_file(tmp_path / "q.jsonl", *asked), tmp_path / "answers.jsonl"
    answered: list[str] = []
    real = Desk.answer

    def answer(self, question, **options):
        answered.append(question)
        if len(answered) == 4:
            raise KeyboardInterrupt
        return real(self, question, **options)

    monkeypatch.setattr(Desk, "answer", answer)
    ran = deskmate("ask", "--batch", questions, "--out", out)
    assert (ran.code, ran.err) == (130, "deskmate: stopped; nothing was lost\n")
    assert not out.exists()
    answered.clear()
    answered += ["(resumed)"] * 4

    def again(*options: str) -> int:
        assert deskmate("ask", "--batch", questions, "--out", out, *options).code == 0
        assert [one["id"] for one in lines(out)] == [one["id"] for one in asked]
        assert [one["question"] for one in lines(out)] == [one["question"] for one in asked]
        assert not list(tmp_path.glob("*.partial"))
        return len(answered) - 4

    return again


def test_a_stopped_batch_goes_on_where_it_stopped(stopped) -> None:
    assert stopped() == 3


def test_a_torn_last_line_is_answered_again(stopped, tmp_path: Path) -> None:
    partial = tmp_path / "answers.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[:-40] + "ü".encode()[:1])
    assert stopped() == 4


@pytest.mark.parametrize("change", ["mode", "groups", "settings", "generation", "another command"])
def test_a_batch_begins_anew_when_it_would_be_answered_otherwise(
    stopped, policies: Office, deskmate, tmp_path: Path, monkeypatch, change: str
) -> None:
    options: list[str] = []
    match change:
        case "mode":
            options = ["--mode", "prompt-only"]
        case "groups":
            options = ["--groups", "managers"]
        case "settings":
            monkeypatch.setenv("DESKMATE_CHAT__PASSAGES", "1")
        case "generation":
            policies.write({"new.md": "Something new."})
            assert deskmate("ingest", policies.docs).code == 0
        case "another command":
            (tmp_path / "answers.jsonl.partial").write_text('{"id": "q0", "query": "x", "results": []}\n')
    assert stopped(*options) == 6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "b", "question": ', ":3: no JSON"),
        ("[1]", ":3: not a JSON object"),
        ('{"question": "vpn?"}', ':3: a question needs "id" and "question"'),
        ('{"id": 7, "question": "vpn?"}', ':3: a question needs "id" and "question"'),
        ('{"id": "b"}', ':3: a question needs "id" and "question"'),
        ('{"id": "a", "question": "vpn?"}', ":3: the id 'a' has been used before"),
        ('{"id": "b", "question": " "}', ":3: the question is empty"),
        ('{"id": "b", "question": "\\ud800"}', ":3: the question is not valid Unicode"),
    ],
)
@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_broken_line_is_named_before_anything_is_answered(
    policies: Office, deskmate, tmp_path: Path, command: str, line: str, said: str
) -> None:
    questions = question_file(tmp_path / "q.jsonl", {"id": "a", "question": "vpn?"}, "", line)
    problem = deskmate(command, "--batch", questions, "--out", tmp_path / "r.jsonl").problem
    assert f"{questions}{said}" in problem
    assert sorted(path.name for path in tmp_path.glob("r.*")) == []


def test_batch_files_that_are_not_there_are_clear_errors(policies: Office, deskmate, tmp_path: Path) -> None:
    good = question_file(tmp_path / "q.jsonl", {"id": "a", "question": "vpn?"})
    for command in ("search", "ask"):
        assert "cannot be read" in deskmate(command, "--batch", tmp_path / "no.jsonl", "--out", "r.jsonl").problem
        assert (
            "holds no question"
            in deskmate(command, "--batch", question_file(tmp_path / "e.jsonl"), "--out", "r.jsonl").problem
        )
        assert "there is no folder" in deskmate(command, "--batch", good, "--out", tmp_path / "no" / "r.jsonl").problem
        (tmp_path / "dir").mkdir(exist_ok=True)
        assert "while writing" in deskmate(command, "--batch", good, "--out", tmp_path / "dir").problem


# From beginning to end


def test_everything_works_together_in_processes_of_its_own(office: Office) -> None:
    office.write(POLICIES)
    out, err = start(office, "ingest", office.docs, "--json").communicate(timeout=120)
    assert json.loads(out)["documents"] == 4, err
    assert err == ""
