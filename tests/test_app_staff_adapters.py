"""The page on adapters: what serves, what the gate said, promotion and rollback, and the steps to the next version."""

import hashlib
import json
import re
import sys
import time

import pytest
from adapters import bare
from fastapi.testclient import TestClient
from office import POLICIES, Office
from staff_kit import ADMIN, echo_desk, staff_client

from app.accounts.audit import entries
from app.desk import Desk
from app.loop.jobs import Jobs, State
from app.people import Person, Role
from finetune.adapters.card import Adapter


@pytest.fixture
def desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> Desk:
    office.write(POLICIES)
    office.ingest()
    desk = echo_desk(office.workspace, eval={"questions": "questions.jsonl"})
    fake = (sys.executable, "-c", "import sys; print('deskmate', *sys.argv[1:])")
    monkeypatch.setattr(desk, "jobs", Jobs(office.workspace.root / "jobs", fake), raising=False)
    return desk


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return staff_client(desk)


@pytest.fixture
def adapter(desk: Desk) -> Adapter:
    known = {entry.doc: entry.sha256 for entry in desk.searcher.open().table.known().values()}
    return bare(desk.workspace.adapters, documents=known)


def report(desk: Desk, adapter: Adapter, allowed: bool | None, name: str = "autumn", /, **more: object) -> None:
    share = {"key_fact_accuracy": {"mean": 0.5}, "house_form": {"mean": 0.75}}
    gate = None if allowed is None else {"allowed": allowed, "reasons": ["it forgot <much>"]}
    found = {
        "adapter": {"id": adapter.id, "checksum": adapter.checksum},
        "created": "2026-11-02T10:00:00Z",
        "questions": {"n": 80},
        "verdict": "better",
        "modes": [{"mode": "hybrid", "all": share}, {"mode": "rag-only", "all": {}}],
        "gate": gate,
    } | more
    folder = desk.workspace.root / "reports" / name
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(found))


def promote(client: TestClient, adapter: Adapter, **fields: str):
    return client.post("/staff/adapters/promote", data={"adapter": adapter.checksum[:16], **fields})


def test_without_an_adapter_the_page_says_what_one_is_for(client: TestClient) -> None:
    page = client.get("/staff/adapters").text
    assert "No adapter yet" in page
    assert "0 rows of 0 judgements" in page
    assert "It starts from the adapter that serves, and none does." in page
    assert re.search(r"<button class=\"ds-button\" disabled>Tune from feedback", page)


def test_what_the_gate_let_through_can_serve_and_be_taken_back(
    client: TestClient, desk: Desk, adapter: Adapter
) -> None:
    report(desk, adapter, True)
    page = client.get("/staff/adapters").text
    assert "gate: may serve" in page
    assert re.search(r"House form</th><td[^>]*>75\.0\xa0%</td><td[^>]*>—", page)
    assert "It serves from the next question on." in promote(client, adapter).text
    assert desk.registry.served_id() == "house/v1"
    assert "What served before serves again" in client.post("/staff/adapters/rollback", data={}).text
    assert desk.registry.served_id() is None
    assert client.post("/staff/adapters/rollback", data={}).status_code == 422
    noted = [(entry.what, entry.about.get("reason")) for entry in entries(desk.database)]
    assert noted == [("adapter.rolled-back", None), ("adapter.promoted", "")]


@pytest.mark.parametrize("allowed", [False, None])
def test_what_the_gate_has_not_let_through_needs_a_reason(
    client: TestClient, desk: Desk, adapter: Adapter, allowed: bool | None
) -> None:
    report(desk, adapter, allowed)
    assert ("It forgot &lt;much&gt;." in client.get("/staff/adapters").text) is (allowed is False)
    for reason in ("", "because I say so"):
        refused = promote(client, adapter, reason=reason)
        assert refused.status_code == 422
        assert "say why it is to serve all the same" in refused.text
    assert desk.registry.served_id() is None
    promote(client, adapter, reason="trial")
    assert desk.registry.served_id() == "house/v1"
    assert entries(desk.database)[0].about["reason"] == "trial"
    shown = client.get(f"/staff/adapter?key={adapter.checksum[:16]}").text
    assert "adapter.promoted" in shown
    assert "<td>trial</td>" in shown


def test_the_newest_word_of_the_gate_counts_and_reports_of_others_do_not(
    client: TestClient, desk: Desk, adapter: Adapter
) -> None:
    report(desk, adapter, True, "first")
    report(desk, adapter, False, "second", created="2026-11-03T10:00:00Z")
    report(desk, adapter, None, "third", created="2026-11-04T10:00:00Z")
    report(desk, adapter, True, "other", adapter={"id": adapter.id, "checksum": "f" * 64})
    report(desk, adapter, True, "odd", adapter="what", created="2027-01-01")
    assert promote(client, adapter).status_code == 422
    assert "/reports/second/report.html" in client.get("/staff/adapters").text


def test_a_stale_adapter_names_its_documents(client: TestClient, desk: Desk, adapter: Adapter, office: Office) -> None:
    office.write({"it/vpn.md": "# VPN\n\nOther.\n"})
    office.ingest()
    assert "Stale: 1 changed of its training documents. Tune it again." in client.get("/staff/adapters").text
    assert "<li>it/vpn.md: changed</li>" in client.get(f"/staff/adapter?key={adapter.checksum[:16]}").text


def test_a_damaged_adapter_is_a_sentence_and_hides_no_other(client: TestClient, desk: Desk, adapter: Adapter) -> None:
    other = bare(desk.workspace.adapters, "other")
    (other.folder / "card.json").write_text("{}")
    page = client.get("/staff/adapters").text
    assert "cannot be used" in page
    assert "house/v1" in page


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"step": "rows"}, "deskmate feedback export"),
        ({"step": "feedback"}, "deskmate tune --from-feedback"),
        ({"step": "synth"}, "deskmate synth --yes"),
        ({"step": "tune", "recipe": "smollm2-135m-cpu"}, "deskmate tune --recipe smollm2-135m-cpu"),
        ({"step": "evaluate"}, "deskmate eval --gate --modes hybrid,rag-only --adapter house/v1"),
    ],
)
def test_each_step_is_a_command_run_as_a_job(
    client: TestClient, desk: Desk, adapter: Adapter, fields: dict[str, str], command: str
) -> None:
    page = client.post("/staff/adapters/job", data={"adapter": adapter.checksum[:16], **fields})
    assert page.status_code == 200
    for _ in range(400):
        job = desk.jobs.all()[0]
        if job.state is State.DONE:
            break
        time.sleep(0.02)
    assert desk.jobs.log(job).strip() == command
    assert job.title in client.get("/staff/adapters").text
    assert entries(desk.database)[0].about == {"job": job.id, "kind": fields["step"]}


def test_what_was_reviewed_joins_the_questions_out_of_the_documents(
    client: TestClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.staff.adapters.included_rows", lambda corrections: iter([{}]))
    client.post("/staff/adapters/job", data={"step": "synth"})
    file = str(desk.workspace.root / "feedback" / "answers.jsonl")
    commands = (("feedback", "answers", "--out", file), ("synth", "--yes", "--include", file))
    assert desk.jobs.all()[0].commands == commands


@pytest.mark.parametrize(
    "fields", [{}, {"step": "rm"}, {"step": "tune", "recipe": "../x"}, {"step": "tune", "recipe": "tiny"}]
)
def test_no_other_command_can_be_asked_for(client: TestClient, desk: Desk, fields: dict[str, str]) -> None:
    assert client.post("/staff/adapters/job", data=fields).status_code == 422
    assert desk.jobs.all() == []


def test_the_data_card_is_for_those_who_may_read_all_documents(desk: Desk, office: Office) -> None:
    qa = desk.workspace.qa
    qa.mkdir()
    (qa / "train.jsonl").write_text("{}\n")
    (qa / "card.md").write_text("# Data card")
    known = {entry.doc: entry.sha256 for entry in desk.searcher.open().table.known().values()}
    adapter = bare(desk.workspace.adapters, documents=known, access=(("hr",),))
    address = f"/staff/adapter/data?key={adapter.checksum[:16]}"
    assert staff_client(desk).get(address).status_code == 404  # of other data
    digest = hashlib.sha256(b"{}\n").hexdigest()
    card = json.loads((adapter.folder / "card.json").read_text())
    assert card["data_hash"] != digest
    from dataclasses import replace

    from finetune.adapters.card import open_adapter, write_card

    write_card(adapter.folder, replace(adapter.card, data_hash=digest))
    address = f"/staff/adapter/data?key={open_adapter(adapter.folder).checksum[:16]}"
    assert staff_client(desk).get(address).text == "# Data card"
    stranger = Person("user-2", "Max", frozenset({"it"}), Role.ADMIN)
    assert staff_client(desk, stranger).get(address).status_code == 404
    assert "hr" in ADMIN.groups


def test_only_administrators_come_here(desk: Desk, adapter: Adapter) -> None:
    client = staff_client(desk, Person("user-3", "Dan", frozenset(), Role.DESK))
    assert client.get("/staff/adapters").status_code == 403
    assert promote(client, adapter, reason="trial").status_code == 403
    assert client.post("/staff/adapters/job", data={"step": "rows"}).status_code == 403
    assert desk.registry.served_id() is None
