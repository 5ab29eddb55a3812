"""The pages on documents: what an administrator sees of texts that are not theirs, uploads, and the job they start."""

import re
import sys
import time
from pathlib import Path

import pytest
from adapters import bare
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from office import POLICIES, Office, parse_here
from staff_kit import echo_desk, staff_client

from app.accounts.audit import entries
from app.desk import Desk
from app.loop.jobs import Job, Jobs, State
from app.people import Person, Role

JSON = {"accept": "application/json"}


@pytest.fixture
def desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> Desk:
    office.write({**POLICIES, "it/empty.md": "", "hr/managers/.access": "managers\n"})
    office.ingest()
    desk = echo_desk(office.workspace)
    desk.sources.remember([office.docs], None)
    fake = (sys.executable, "-c", "import sys; print('deskmate', *sys.argv[1:])")
    monkeypatch.setattr(desk, "jobs", Jobs(office.workspace.root / "jobs", fake), raising=False)
    return desk


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return staff_client(desk)


def upload(client: TestClient, name: str, data: bytes = b"# New\n\nText.", headers: object = None, **form: object):
    fields = {"access": "everyone"} | form
    return client.post("/staff/documents/upload", data=fields, files={"file": (name, data)}, headers=headers)


def ended(desk: Desk) -> Job:
    for _ in range(400):
        job = desk.jobs.all()[0]
        if job.state is not State.RUNNING:
            return job
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def test_documents_are_listed_with_state_and_readers(client: TestClient) -> None:
    page = client.get("/staff/documents").text
    assert "hr/managers/bonus.md" in page
    assert "Bonus pool" not in page  # its title is part of its text
    assert "Annual leave" in page
    assert "it is empty" in page
    assert page.count("indexed</span>") == 4
    unread = client.get("/staff/documents?show=unread").text
    assert "it/empty.md" in unread
    assert "it/vpn.md" not in unread


def test_a_search_sees_no_more_than_whoever_searches(client: TestClient, desk: Desk) -> None:
    assert "it/printers.md" in client.get("/staff/documents?q=PRINT").text
    assert "hr/managers/bonus.md" not in client.get("/staff/documents?q=bonus+pool").text
    manager = Person("user-2", "Max", frozenset({"managers"}), Role.ADMIN)
    assert "hr/managers/bonus.md" in staff_client(desk, manager).get("/staff/documents?q=bonus+pool").text
    assert "No such document" in client.get("/staff/documents?q=nothing&page=9").text


def test_a_document_shows_its_chunks_as_they_are_embedded(client: TestClient) -> None:
    page = client.get("/staff/document", params={"doc": "hr/leave.md"}).text
    assert '<p class="dl-head" dir="auto">Annual leave</p>' in page
    assert "Carry over at most 5 days" in page
    assert re.search(r"\b\d+ tokens · characters [\d,]+ to \d+", page)
    assert "Delete this document" not in page
    assert client.get("/staff/document", params={"doc": "no.md"}).status_code == 404


def test_an_administrator_without_the_group_sees_name_and_state_only(client: TestClient) -> None:
    page = client.get("/staff/document", params={"doc": "hr/managers/bonus.md"}).text
    assert "hr/managers/bonus.md" in page
    assert "Its text is not for you" in page
    assert "4 percent" not in page
    assert "Bonus pool" not in page


GROUPS = ("hr", "it", "managers", "legal")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a document for every set of groups, each with a word of its own."""
    office = Office(tmp_path_factory.mktemp("closed"))
    for number in range(1 << len(GROUPS)):
        readers = [group for at, group in enumerate(GROUPS) if number >> at & 1] or ["everyone"]
        text = f"# Title canary{number}x\n\nThe text says canary{number}x.\n"
        office.write({f"d{number}/a.md": text, f"d{number}/.access": "\n".join(readers)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.build.parse_files", parse_here)
        office.ingest()
    return echo_desk(office.workspace)


@given(st.sets(st.sampled_from(GROUPS)), st.integers(0, 15))
@settings(max_examples=30)
def test_texts_are_seen_by_their_readers_only_whoever_looks(closed: Desk, groups: set[str], number: int) -> None:
    client = staff_client(closed, Person("user-7", "Eve", frozenset(groups), Role.ADMIN))
    readers = {group for at, group in enumerate(GROUPS) if number >> at & 1}
    may = not readers or bool(readers & groups)
    for address in (f"/staff/document?doc=d{number}/a.md", f"/staff/documents?q=d{number}/a.md"):
        assert (f"canary{number}x" in client.get(address).text) is may
    found = client.get(f"/staff/documents?q=canary{number}x").text
    assert (f"d{number}/a.md" in found) is may


def test_only_administrators_come_here(desk: Desk) -> None:
    for role in (Role.ASKER, Role.DESK):
        client = staff_client(desk, Person("user-3", "Dan", frozenset(), role))
        for address in ("/staff/documents", "/staff/document?doc=it/vpn.md", "/staff/jobs"):
            assert client.get(address).status_code == 403
        assert upload(client, "a.md").status_code == 403
        assert client.post("/staff/documents/delete", data={"doc": "it/vpn.md"}).status_code == 403
    assert desk.uploads.all() == []


def test_an_adapter_that_knows_an_older_version_is_named(office: Office, desk: Desk) -> None:
    known = {entry.doc: entry.sha256 for entry in desk.searcher.open().table.known().values()}
    bare(desk.workspace.adapters, documents=known)
    office.write({"it/vpn.md": "# VPN\n\nAnother text.\n"})
    page = staff_client(desk).get("/staff/documents").text
    assert "On disk and not in the index: 1 changed." in page
    assert "stale" not in page
    office.ingest()
    page = staff_client(desk).get("/staff/documents").text
    assert "On disk" not in page
    assert "The adapter house/v1 is stale: 1 changed of its training documents." in page
    shown = staff_client(desk).get("/staff/document?doc=it/vpn.md").text
    assert "The adapter house/v1 was tuned on another version of it." in shown


def test_an_upload_is_kept_noted_and_ingested(client: TestClient, desk: Desk) -> None:
    page = upload(client, "../bikes.md", access=["hr"])
    assert page.status_code == 200
    assert "Uploaded: bikes.md. They are being taken in." in page.text
    [one] = desk.uploads.all()
    assert (one.name, one.access) == ("bikes.md", {"hr"})
    job = ended(desk)
    assert (job.state, job.who) == (State.DONE, "user-1")
    assert desk.jobs.log(job) == f"deskmate ingest -- {desk.uploads.folder}\n"
    noted = {entry.what: entry.about for entry in entries(desk.database)}
    assert noted["document.uploaded"]["open"] is False
    assert "bikes" not in str(noted)
    assert noted["job.started"] == {"job": job.id, "kind": "ingest"}


def test_files_that_come_alone_are_answered_in_json(client: TestClient, desk: Desk) -> None:
    assert upload(client, "a.md", headers=JSON).json() == {"taken": ["a.md"], "refused": []}
    again = upload(client, "a.md", headers=JSON)
    assert (again.status_code, again.json()["refused"][0]["taken"]) == (409, True)
    assert upload(client, "a.md", headers=JSON, replace="1").status_code == 200
    wrong = upload(client, "a.pdf", b"no pdf", headers=JSON)
    assert wrong.status_code == 415
    assert wrong.json()["refused"][0]["why"].startswith("a.pdf cannot be read: it is called .pdf but is none")
    assert desk.jobs.all() == []  # the page asks for it when all have come


def test_what_is_too_large_is_refused_with_a_sentence(office: Office) -> None:
    desk = echo_desk(office.workspace, uploads={"max_file_mb": 0.01})
    client = staff_client(desk)
    large = upload(client, "a.txt", b"x" * 20_000, headers=JSON)
    assert large.status_code == 413
    assert large.json()["refused"][0]["why"] == "a.txt is larger than 0.01 MiB, the most that is taken"
    huge = upload(client, "a.txt", b"x" * 80_000)
    assert huge.status_code == 413
    assert "together these files are larger" in huge.text.lower()
    assert not list(desk.uploads.folder.rglob("*.txt"))


def test_nobody_opens_a_document_to_groups_that_they_are_not_in(client: TestClient, desk: Desk) -> None:
    for access in (["managers"], ["everyone", "managers"]):
        assert upload(client, "a.md", access=access).status_code == 403
    assert upload(client, "a.md", headers=JSON, access="").status_code == 403
    assert desk.uploads.all() == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", 400),
        (b"--x", "multipart/form-data", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_broken_upload_is_refused_and_leaves_nothing(
    client: TestClient, desk: Desk, body: bytes, kind: str, status: int
) -> None:
    answer = client.post("/staff/documents/upload", content=body, headers={"content-type": kind})
    assert answer.status_code in (status, 200)
    assert "Uploaded" not in answer.text
    assert desk.uploads.all() == []


def test_an_uploaded_document_can_be_deleted_and_no_other(client: TestClient, desk: Desk, office: Office) -> None:
    upload(client, "bikes.md", headers=JSON)
    office.ingest(desk.uploads.folder)
    assert "Delete this document" in client.get("/staff/document?doc=uploaded/everyone/bikes.md").text
    gone = client.post("/staff/documents/delete", data={"doc": "uploaded/everyone/bikes.md"})
    assert "The file is deleted, and the index is being brought up to date." in gone.text
    assert "--allow-shrink" in desk.jobs.log(ended(desk))
    assert desk.uploads.all() == []
    refused = client.post("/staff/documents/delete", data={"doc": "it/vpn.md"})
    assert refused.status_code == 422
    assert "Vpn.md was not uploaded" in refused.text
    assert client.post("/staff/documents/delete", data={"doc": "hr/managers/bonus.md"}).status_code == 403
    assert client.post("/staff/documents/delete", data={"doc": "../x"}).status_code == 404
    assert (office.docs / "it/vpn.md").exists()


def test_everything_is_read_again_as_it_was_ingested(client: TestClient, desk: Desk, office: Office) -> None:
    client.post("/staff/documents/ingest", data={})
    job = ended(desk)
    assert job.commands == (("ingest", "--", str(office.docs)),)
    page = client.get("/staff/documents").text
    assert "Reading everything again" in page
    assert "done</span>" in page
    shown = client.get(f"/staff/jobs/{job.id}").text
    assert f"deskmate ingest -- {office.docs}" in shown
    assert client.get(f"/staff/jobs/{job.id}/state").json()["state"] == "done"
    assert "Reading everything again" in client.get("/staff/jobs").text
    assert client.get("/staff/jobs/20260101-000000-000000").status_code == 404


def test_before_the_first_ingest_the_page_offers_to_upload(tmp_path: Path) -> None:
    client = staff_client(echo_desk(tmp_path / "home"))
    page = client.get("/staff/documents")
    assert page.status_code == 200
    assert "nothing was ingested yet" in page.text
    assert client.post("/staff/documents/ingest", data={}).status_code == 422


def test_a_person_without_groups_uploads_for_everyone(desk: Desk) -> None:
    page = staff_client(desk, Person("guest-1", "", frozenset(), Role.ADMIN)).get("/staff/documents").text
    assert "Everyone may read them: you are in no group." in page
