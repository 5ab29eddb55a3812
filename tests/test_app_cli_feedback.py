"""`deskmate feedback`, `deskmate drift` and `tune --from-feedback` as people and scripts meet them."""

import json
import sys
from pathlib import Path

import pytest
from office import POLICIES, Office
from staff_kit import echo_desk
from test_app_training_rows import Talk

from app.accounts import audit
from app.cli import main
from app.loop.sources import Source

FAKES = {
    "DESKMATE_RETRIEVAL__EMBEDDER": "hashing",
    "DESKMATE_CHAT__BACKEND": "echo",
    "DESKMATE_CHAT__CONFIDENCE": "0",
    "COLUMNS": "200",
}


@pytest.fixture
def deskmate(office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process, with fakes; its object, its words or its error."""
    for name, value in {**FAKES, "DESKMATE_HOME": str(office.workspace.root)}.items():
        monkeypatch.setenv(name, value)
    office.write(POLICIES)

    def run(*args: object):
        monkeypatch.setattr(sys, "argv", ["deskmate", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        if code:
            assert "Traceback" not in err
            return err
        return json.loads(out) if "--json" in args else out

    run("ingest", office.docs)
    return run


@pytest.fixture
def talk(deskmate, office: Office) -> Talk:
    return Talk(echo_desk(office.workspace))


def test_an_ingest_is_remembered_to_be_done_again(deskmate, office: Office) -> None:
    deskmate("ingest", office.docs / "hr", "--access", "hr")
    desk = echo_desk(office.workspace)
    assert desk.sources.all() == [Source(office.docs, None), Source(office.docs / "hr", frozenset({"hr"}))]


def test_status_says_what_is_there_and_what_is_missing(deskmate, talk: Talk) -> None:
    _, exchange = talk.ask("What does error 809 mean?")
    talk.judge(exchange, "up")
    found = deskmate("feedback", "status", "--json")
    assert (found["rows"], found["up"], found["method"]) == (1, 1, None)
    assert found["missing"]["dpo"][0] == "40 corrected answers and there are 0"
    said = deskmate("feedback", "status")
    assert "1 rows of 1 judgements and reviewed corrections" in said
    assert "kto needs 100 thumbs and there are 1" in said


def test_rows_are_exported_masked_and_noted(deskmate, talk: Talk, tmp_path: Path) -> None:
    _, exchange = talk.ask("What does error 809 mean? My name is Karen Hill.")
    talk.judge(exchange, "down")
    out = tmp_path / "rows.jsonl"
    assert deskmate("feedback", "export", "--out", out, "--json")["masked"] == {"name": 1}
    assert json.loads(out.read_text())["question"] == "What does error 809 mean? My name is <name>."
    kept = Path(deskmate("feedback", "export", "--json")["out"])
    assert kept.parent.name == "feedback"
    assert kept.read_bytes() == out.read_bytes()
    assert [entry.what for entry in audit.entries(talk.desk.database)] == ["feedback.exported"] * 2


def test_a_row_is_traced(deskmate, talk: Talk) -> None:
    _, exchange = talk.ask("What does error 809 mean?")
    talk.judge(exchange, "down", "wrong")
    assert deskmate("feedback", "trace", "j1", "--json")["exchange"] == exchange
    said = deskmate("feedback", "trace", "j1")
    assert "it/vpn.md" in said
    assert "today unchanged" in said
    assert "there is no row 'j2'" in deskmate("feedback", "trace", "j2")


def test_tuning_on_feedback_takes_the_workspaces_own_labels(deskmate, talk: Talk, tmp_path: Path) -> None:
    assert "there is nothing to tune on yet" in deskmate("tune", "--from-feedback")
    _, exchange = talk.ask("What does error 809 mean?")
    talk.judge(exchange, "up")
    assert "no adapter serves" in deskmate("tune", "--from-feedback")
    assert len(list((talk.desk.workspace.root / "feedback").glob("rows-*.jsonl"))) == 1
    assert "no adapter serves" in deskmate("tune", "--from-feedback", tmp_path / "missing.jsonl")
    assert "labels go with" in deskmate("tune", tmp_path / "labels.jsonl")


def test_reviewed_corrections_are_questions_for_the_next_synthesis(deskmate, talk: Talk) -> None:
    assert "there is no reviewed correction" in deskmate("feedback", "answers")
    talk.correct(None, "You have 25 days of leave [1].", "hr/leave.md")
    talk.correct(None, "Not looked at yet [1].", "it/vpn.md", review=False)
    found = deskmate("feedback", "answers", "--json")
    [row] = [json.loads(line) for line in Path(found["out"]).read_text().splitlines()]
    assert row["answer"] == "You have 25 days of leave."
    assert row["docs"].keys() == {"hr/leave.md"}


def test_drift_says_what_to_do(deskmate, talk: Talk, office: Office) -> None:
    talk.ask("What does error 809 mean?")
    office.write({"it/new.md": "# New"})
    found = deskmate("drift", "--json")
    assert [one["what"] for one in found["advice"]] == ["ingest", "wait"]
    assert found["weeks"][-1]["questions"] == 1
    assert found["moved"]["recent"] == 1
    assert "ingest: documents on disk are not in the index: 1 new" in deskmate("drift")
    assert (talk.desk.workspace.root / "drift.json").exists()
