"""`deskmate adapters`, and asking with an adapter, as people and scripts meet them."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from adapters import bare
from office import POLICIES, Office

from app.cli import main

QUESTION = "Which port is blocked when I get error 809?"
FAKES = {
    "DESKMATE_RETRIEVAL__EMBEDDER": "hashing",
    "DESKMATE_CHAT__BACKEND": "echo",
    "DESKMATE_CHAT__CONFIDENCE": "0",
}


@pytest.fixture
def deskmate(office: Office, monkeypatch, capsys):
    """Run a command in this process, with fakes, on an office with documents; its object, its words or its error."""
    for name, value in FAKES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESKMATE_HOME", str(office.workspace.root))
    monkeypatch.setenv("COLUMNS", "200")
    office.write({**POLICIES, "hr/managers/.access": "managers\n"})
    office.ingest()

    def run(*args: object) -> object:
        monkeypatch.setattr(sys, "argv", ["deskmate", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        if code:
            assert (code, out) == (1, ""), err
            assert "Traceback" not in err
            return err
        return json.loads(out) if "--json" in args else out

    return run


@pytest.fixture
def publish(office: Office):
    """Publish an adapter that was tuned on documents of the office."""

    def make(name: str = "house", docs: tuple[str, ...] = ("it/vpn.md", "hr/leave.md"), **options: object) -> None:
        hashes = {doc: hashlib.sha256((office.docs / doc).read_bytes()).hexdigest() for doc in docs}
        bare(office.workspace.adapters, name, documents=hashes, **options)

    return make


def ask(deskmate, *options: object) -> tuple[str, str | None]:
    data = deskmate("ask", QUESTION, *options, "--json")
    return data["mode"], data["adapter"]


def test_from_publishing_to_promoting_and_back(deskmate, publish) -> None:
    assert "no adapter yet" in deskmate("adapters", "list")
    publish()
    publish()
    assert ask(deskmate) == ("rag-only", None)
    assert "house/v2 serves from the next question on" in deskmate("adapters", "promote", "house")
    assert ask(deskmate) == ("hybrid", "house/v2")
    assert ask(deskmate, "--mode", "tune-only") == ("tune-only", "house/v2")
    assert ask(deskmate, "--mode", "rag-only") == ("rag-only", None)
    assert deskmate("adapters", "promote", "house/v1", "--json") == {"serving": "house/v1"}
    listed = deskmate("adapters", "list", "--json")
    assert (listed["serving"], [one["serves"] for one in listed["adapters"]]) == ("house/v1", [True, False])
    assert deskmate("adapters", "rollback", "--json") == {"serving": "house/v2"}
    assert "the base without an adapter serves" in deskmate("adapters", "rollback")
    assert "nothing to go back from" in deskmate("adapters", "rollback")


def test_any_adapter_may_be_asked_by_its_name_or_folder(deskmate, publish, tmp_path: Path) -> None:
    publish()
    publish()
    deskmate("adapters", "promote", "house")
    assert ask(deskmate, "--adapter", "house/v1") == ("hybrid", "house/v1")
    shipped = bare(tmp_path / "shipped", "shipped")
    assert ask(deskmate, "--adapter", shipped.folder) == ("hybrid", "shipped/v1")
    assert "there is no adapter 'none'" in deskmate("ask", QUESTION, "--adapter", "none")


def test_a_folder_in_the_settings_serves_at_once(deskmate, tmp_path: Path, monkeypatch) -> None:
    shipped = bare(tmp_path / "shipped", "shipped")
    monkeypatch.setenv("DESKMATE_CHAT__ADAPTER", str(shipped.folder))
    assert ask(deskmate) == ("hybrid", "shipped/v1")
    assert deskmate("adapters", "list", "--json")["serving"] == "shipped/v1"
    (shipped.folder / "README.md").write_text("changed")
    assert "README.md was changed since it was published" in deskmate("adapters", "show", shipped.folder)


def test_groups_decide_who_is_answered_by_it(deskmate, publish) -> None:
    publish(access=(("everyone",), ("managers",)))
    deskmate("adapters", "promote", "house")
    assert ask(deskmate) == ("rag-only", None)
    assert ask(deskmate, "--groups", "managers") == ("hybrid", "house/v1")
    for options in (("--mode", "hybrid"), ("--mode", "tune-only"), ("--adapter", "house")):
        assert "was tuned on documents that this asker may not read" in deskmate("ask", QUESTION, *options, "--json")
    assert "managers" in deskmate("adapters", "list")


def test_a_changed_document_marks_it_and_a_deleted_one_stops_it(deskmate, publish, office: Office, monkeypatch) -> None:
    publish()
    deskmate("adapters", "promote", "house")
    assert deskmate("status", "--json")["adapter"]["stale"] == ""
    office.write({"hr/leave.md": "# Annual leave\n\nYou have 26 days of leave.\n"})
    office.ingest()
    for command in (("adapters", "list"), ("status",), ("doctor",)):
        assert "stale: 1 changed of its training documents" in deskmate(*command)
    assert ask(deskmate) == ("hybrid", "house/v1")
    (office.docs / "it" / "vpn.md").unlink()
    office.ingest()
    assert "stale: 1 changed and 1 gone of its training documents" in deskmate("status")
    assert deskmate("adapters", "show", "house", "--json")["gone"] == ["it/vpn.md"]
    assert ask(deskmate) == ("rag-only", None)
    assert "set chat.stale_adapters to serve" in deskmate("ask", QUESTION, "--mode", "hybrid")
    assert ask(deskmate, "--adapter", "house") == ("hybrid", "house/v1")
    monkeypatch.setenv("DESKMATE_CHAT__STALE_ADAPTERS", "serve")
    assert ask(deskmate) == ("hybrid", "house/v1")


def test_a_damaged_adapter_is_one_line_wherever_it_is_met(deskmate, publish, office: Office) -> None:
    publish()
    deskmate("adapters", "promote", "house")
    card = office.workspace.adapters / "house" / "v1" / "card.json"
    card.write_text(card.read_text().replace("everyone", "everybody"))
    for command in (("ask", QUESTION), ("ask", QUESTION, "--mode", "hybrid"), ("adapters", "show", "house")):
        assert "card.json cannot be used" in deskmate(*command)
    assert "card.json cannot be used" in deskmate("status")
    assert deskmate("ask", QUESTION, "--mode", "rag-only", "--json")["adapter"] is None
    assert deskmate("adapters", "rollback", "--json") == {"serving": None}
    assert len(deskmate("adapters", "list", "--json")["damaged"]) == 1


def test_an_export_says_how_vllm_serves_it(deskmate, publish, tmp_path: Path) -> None:
    publish()
    out = tmp_path / "out"
    assert f"vllm serve tiny --enable-lora --lora-modules house/v1={out}" in deskmate(
        "adapters", "export", "house", "--out", out
    )
    assert {path.name for path in out.iterdir()} >= {"adapter_model.safetensors", "adapter_config.json"}
    assert "is there already" in deskmate("adapters", "export", "house", "--out", out)
    assert ask(deskmate, "--adapter", out) == ("hybrid", "house/v1")


def test_a_batch_begins_anew_under_another_adapter(deskmate, publish, tmp_path: Path) -> None:
    publish()
    questions, out = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    questions.write_text(json.dumps({"id": "a", "question": QUESTION}) + "\n")
    for reference, name in (("house", "house/v1"), (None, None)):
        options = ("--adapter", reference) if reference else ()
        deskmate("ask", "--batch", questions, "--out", out, *options)
        assert json.loads(out.read_text())["adapter"] == name
