"""What nobody should send, and what should not happen: the right status, a sentence, no word of it in the log."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_kit import chat, key_for, open_desk
from fake_desk import FakeDesk
from fastapi.testclient import TestClient
from office import Office
from staff_kit import echo_desk, staff_client
from web_kit import web_app

from app import database as databases
from app.answering.modes import Mode
from app.chat.archive import Archive
from app.chat.conversation import Conversation, House
from app.chat.session import Asked, Session, Visit
from app.database import FILE, Database, open_database
from app.faults import UNEXPECTED
from app.people import Person
from app.staff.handovers import Handovers
from ingest.errors import DeskmateError

DEEP = "[" * 100_000
JSON = {"content-type": "application/json"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database("", tmp_path)
    yield database
    database.close()


@pytest.fixture
def client(tmp_path: Path, database: Database) -> Iterator[TestClient]:
    with TestClient(web_app(FakeDesk(0, 0), tmp_path, database=database), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/chats/judge/1", b"{", 422),
        ("/chats/judge/1", DEEP.encode(), 400),
        ("/chats/judge/1", b'{"verdict": "\xff"}', 400),
        ("/chats/judge/1", json.dumps({"verdict": "down", "correction": "\ud800"}).encode(), 422),
        ("/chats/judge/99999999999999999999", b'{"verdict": "up"}', 422),
        ("/chats/talk", b'{"note": 7}', 422),
        ("/chats/talk", b'{"note": "\\u0000"}', 422),
        ("/gradio_api/queue/join", DEEP.encode(), 400),
        ("/gradio_api/queue/join", b"{}", 422),
        ("/gradio_api/queue/join", b"x" * 3_000_000, 413),
    ],
)
def test_a_body_that_means_nothing_is_refused(client: TestClient, path: str, body: bytes, status: int) -> None:
    assert client.post(path, content=body, headers=JSON).status_code == status
    assert client.get("/chats/list").status_code == 200  # the service goes on


@pytest.mark.parametrize(
    "address",
    [
        "/chats/list?search=%00%ff%ED%A0%80",
        "/chats/document?doc=%00&start=99999999999999999999&end=-5",
        "/chats/here",
        f"/{'a' * 60_000}",
    ],
)
def test_an_address_that_means_nothing_finds_nothing(client: TestClient, address: str) -> None:
    response = client.get(address, headers={"cookie": b"deskmate=\xff\xfe; deskmate_guest=x"})
    assert response.status_code in (200, 404)


def test_an_error_of_ours_is_a_sentence_and_the_log_has_its_place_but_not_its_words(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"data": ["the salary of Anna", None], "fn_index": 999, "session_hash": "x"}
    with caplog.at_level(logging.INFO):
        response = client.post("/gradio_api/queue/join", json=body)
    assert (response.status_code, response.text) == (500, UNEXPECTED)
    assert "a POST failed: KeyError" in caplog.text
    assert "salary" not in caplog.text
    assert client.get("/chats/list").status_code == 200


def test_a_database_that_is_locked_or_damaged_is_said_without_its_place(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(databases, "WAIT_S", 0)  # for connections from now on
    with sqlite3.connect(tmp_path / FILE, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        response = client.post("/chats/talk", json={"note": "the salary of Anna"})
        other.execute("ROLLBACK")
    assert response.status_code == 503
    assert response.json()["detail"] == "Our database cannot be used (database is locked); try again when it is back."
    assert f"{tmp_path / FILE} cannot be used: database is locked" in caplog.text
    assert "salary" not in caplog.text
    assert client.post("/chats/talk", json={"note": "help"}).status_code == 200


def test_a_database_that_is_taken_away_is_said_in_every_place(
    client: TestClient, tmp_path: Path, database: Database
) -> None:
    desk = FakeDesk(0, 0)
    talk, session = Conversation(desk, Archive(database, desk), Handovers(database), House("Desk")), Session()
    visit = Visit(Person("user-1", "Anna"), "tab")
    talk.begin(session, visit, Asked("vpn", Mode.RAG_ONLY))
    *_, before = talk.answer(session, visit)
    asked = Asked("lost phone", Mode.RAG_ONLY, before["conversation"])

    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    page = client.get("/")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "our database does not answer" in page.text
    assert client.post("/chats/talk", json={"note": "help"}).status_code == 503
    assert client.get("/healthz").status_code == 200, "it runs, and goes on"
    assert talk.begin(session, visit, asked)["hint"] == "Our database was taken away; try again when it is back."
    other = Session()
    talk.begin(other, visit, Asked("vpn", Mode.RAG_ONLY))
    *_, last = talk.answer(other, visit)
    assert "Sources" in last["body"]
    assert last["hint"] == "This answer is not kept: our database was taken away; try again when it is back."

    (tmp_path / "elsewhere").rename(tmp_path / FILE)
    assert client.get("/").status_code == 200
    assert talk.begin(session, visit, asked)["taken"]


def test_a_database_that_does_not_answer_makes_it_not_ready(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi import FastAPI

    from app.api.routes import Api

    desk = open_desk(office)
    app = FastAPI()
    Api(desk).mount(app)

    def gone() -> None:
        raise DeskmateError("our database cannot be used at the moment")

    monkeypatch.setattr(desk.database, "ping", gone)
    with TestClient(app) as client:
        response = client.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "our database cannot be used at the moment")


@pytest.mark.parametrize("body", [DEEP, '{"model": "\\ud800"}', "NaN", "null", '"text"', "{" * 3000])
def test_the_api_refuses_what_is_no_request(office: Office, body: str) -> None:
    from fastapi import FastAPI

    from app.api.routes import Api

    desk = open_desk(office)
    app = FastAPI()
    Api(desk).mount(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        key = key_for(desk)
        for path in ("chat/completions", "search"):
            response = client.post(f"/v1/{path}", content=body, headers=key)
            assert response.status_code == 400
            assert response.json()["error"]["message"]
        assert client.post("/v1/chat/completions", json=chat("Error 809?"), headers=key).status_code == 200


def test_an_address_of_the_help_desk_that_means_nothing_is_a_page(tmp_path: Path) -> None:
    client = staff_client(echo_desk(tmp_path))
    for number in ("99999999999999999999", "abc"):
        response = client.get(f"/staff/queue/handover/{number}")
        assert response.status_code == 404, number
        assert "<!doctype html>" in response.text


def test_a_message_of_a_megabyte_is_refused_with_a_sentence(tmp_path: Path, database: Database) -> None:
    desk = FakeDesk(0, 0)
    talk = Conversation(desk, Archive(database, desk), Handovers(database), House("Desk"))
    session, visit = Session(), Visit(Person("guest-1", "Guest"), "tab")
    talk.begin(session, visit, Asked("a" * 1_000_000, Mode.RAG_ONLY))
    *_, last = talk.answer(session, visit)
    assert "the question has 1,000,000 characters, at most 8,000 are read; shorten it" in last["say"]
    assert talk.running == 0
