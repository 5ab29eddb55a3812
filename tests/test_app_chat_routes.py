"""The addresses under /chats: each gives somebody what is theirs, and nobody anything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from door_kit import HERE
from fake_desk import FakeDesk
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.accounts.accounts import Accounts, Change
from app.accounts.routes import mount_sign_in
from app.accounts.sessions import Sessions
from app.answering.answer import Finished
from app.answering.modes import Mode
from app.chat.archive import Archive, Outcome, Remembered
from app.chat.judgements import Judgements
from app.chat.routes import Chats, mount_chats
from app.database import open_database
from app.people import Person, Role
from app.settings import load_settings
from app.staff.handovers import Handovers


@dataclass
class World:
    """A desk with an archive, two people, and a browser of each."""

    desk: FakeDesk
    archive: Archive
    handovers: Handovers
    people: dict[str, Person]
    browsers: dict[str, TestClient]

    def asked(self, name: str, question: str, conversation: str | None = None) -> tuple[str, int]:
        """What the chat keeps when somebody has asked."""
        person = self.people[name]
        *_, last = self.desk.stream(question, mode=Mode.RAG_ONLY, groups=person.groups)
        assert isinstance(last, Finished)
        return self.archive.keep(person, conversation, Outcome(last.answer, Remembered()))


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    database = open_database(database_url, tmp_path)
    desk = FakeDesk(0, 0)
    archive, handovers = Archive(database, desk), Handovers(database)
    settings = load_settings(home=tmp_path)
    app = FastAPI()
    mount_sign_in(app, database, settings)
    mount_chats(app, Chats(desk, archive, Judgements(database), handovers, "start-1"))
    accounts = Accounts(database)
    people, browsers = {}, {}
    for name, change in {
        "anna": Change(groups=frozenset({"hr"})),
        "bram": Change(role=Role.DESK),
    }.items():
        user = accounts.add(name, "test", change)
        with database.writing() as connection:
            token = Sessions(database, settings.sign_in).begin(connection, user.id)
        people[name] = user.person
        browsers[name] = TestClient(app, base_url=HERE, cookies={"deskmate": token}, follow_redirects=False)
    browsers["nobody"] = TestClient(app, base_url=HERE, follow_redirects=False)
    yield World(desk, archive, handovers, people, browsers)
    database.close()


@pytest.fixture
def anna(world: World) -> TestClient:
    return world.browsers["anna"]


def test_without_a_session_there_is_nothing(world: World) -> None:
    conversation, exchange = world.asked("anna", "vpn")
    nobody = world.browsers["nobody"]
    for path in ("here", "list", "document?doc=it/vpn-guide.md", f"sources/{exchange}", f"{conversation}/export.md"):
        assert nobody.get(f"/chats/{path}").status_code in (401, 303)


def test_who_asks_is_said_and_the_desk_has_a_way_to_its_side(world: World, anna: TestClient) -> None:
    assert "anna" in anna.get("/chats/here").json()["person"]
    assert "/staff" not in anna.get("/chats/here").json()["person"]
    assert "/staff" in world.browsers["bram"].get("/chats/here").json()["person"]


def test_somebody_elses_things_are_not_found_and_nothing_hints_at_them(world: World) -> None:
    conversation, exchange = world.asked("anna", "vpn")
    bram = world.browsers["bram"]
    requests = [
        ("GET", "/chats/{}/export.md", None), ("GET", "/chats/{}/export.json", None), ("GET", "/chats/{}/talk", None),
        ("GET", "/chats/talk?conversation={}", None), ("POST", "/chats/{}/title", {"title": "x"}),
        ("POST", "/chats/{}/erase", {}), ("POST", "/chats/{}/talk/end", {}),
    ]  # fmt: skip
    for method, path, body in requests:
        theirs = bram.request(method, path.format(conversation), json=body)
        none = bram.request(method, path.format("0" * 32), json=body)
        assert (theirs.status_code, theirs.json()) == (none.status_code, none.json()) == (404, none.json()), path
    for method, path, body in (("GET", "/chats/sources/{}", None), ("POST", "/chats/judge/{}", {"verdict": "up"})):
        theirs = bram.request(method, path.format(exchange), json=body)
        none = bram.request(method, path.format(exchange + 999), json=body)
        assert (theirs.status_code, theirs.json()) == (none.status_code, none.json()) == (404, none.json()), path
    handed = bram.post("/chats/talk", json={"conversation": conversation, "note": "let me in"})
    assert handed.status_code == 404
    assert "vpn" not in bram.get("/chats/list").text
    assert world.archive.title(world.people["anna"], conversation) == "vpn"


def test_the_list_is_searched_renamed_and_erased(world: World, anna: TestClient) -> None:
    conversation, _ = world.asked("anna", "vpn <b>809</b>")
    other, _ = world.asked("anna", "lost phone")
    listed = anna.get("/chats/list").text
    assert "vpn &lt;b&gt;809&lt;/b&gt;" in listed
    assert listed.index(other) < listed.index(conversation), "the newest first"
    found = anna.get("/chats/list", params={"search": "extension 4000"}).text
    assert (other in found, conversation in found) == (True, False)
    assert "Nothing found for “&lt;i&gt;”" in anna.get("/chats/list", params={"search": "<i>"}).text
    assert anna.post(f"/chats/{conversation}/title", json={"title": " At \n home "}).json() == {"title": "At home"}
    assert anna.post(f"/chats/{conversation}/erase", json={}).json() == {"erased": 1}
    assert anna.post("/chats/erase", json={}).json() == {"erased": 1}
    assert "will be here" in anna.get("/chats/list").text


def test_what_is_wrong_or_too_long_is_said_in_a_sentence(world: World, anna: TestClient) -> None:
    conversation, exchange = world.asked("anna", "vpn")
    for path, body in (
        (f"{conversation}/title", {"title": ""}),
        (f"{conversation}/title", {"title": "x" * 1000}),
        (f"judge/{exchange}", {"verdict": "sideways"}),
        (f"judge/{exchange}", {"verdict": "down", "reason": "ugly"}),
        (f"judge/{exchange}", {"verdict": "down", "correction": "x" * 5000}),
        (f"judge/{exchange}", {"verdict": "up", "owner": "user-2"}),
        ("talk", {"note": "x" * 3000}),
        ("talk", {"note": " "}),
    ):
        reply = anna.post(f"/chats/{path}", json=body)
        assert reply.status_code == 422
        assert isinstance(reply.json()["detail"], str)
    for broken in (b"{", b'{"verdict": "down", "correction": "\\ud800"}'):
        reply = anna.post(f"/chats/judge/{exchange}", content=broken, headers={"content-type": "application/json"})
        assert reply.status_code == 422
    assert anna.get(f"/chats/sources/{10**30}").status_code == 422
    assert anna.get(f"/chats/{conversation}/export.pdf").status_code == 422


def test_thumbs_are_kept_at_once_and_ask_for_a_reason(world: World, anna: TestClient) -> None:
    conversation, exchange = world.asked("anna", "vpn")
    person = world.people["anna"]

    def judged() -> object:
        return world.archive.read(person, conversation)[0].judgement

    html = anna.post(f"/chats/judge/{exchange}", json={"verdict": "down", "asking": True}).text
    assert "What was wrong with it?" in html
    assert 'data-verdict="down" aria-pressed="true"' in html
    assert judged() is not None, "it counts before any reason is given"
    sent = {"verdict": "down", "reason": "outdated", "correction": "Use <port> 443.\0"}
    assert "it is outdated" in anna.post(f"/chats/judge/{exchange}", json=sent).text
    form = anna.get(f"/chats/judge/{exchange}?asking=true").text
    assert "Use &lt;port&gt; 443.</textarea>" in form
    assert 'value="outdated" checked' in form
    assert 'aria-pressed="true"' not in anna.post(f"/chats/judge/{exchange}", json={"verdict": ""}).text
    assert judged() is None


def test_sources_and_documents_are_those_that_may_be_read_now(world: World, anna: TestClient) -> None:
    _, exchange = world.asked("anna", "annual leave in Porto")
    parts = anna.get(f"/chats/sources/{exchange}").json()
    assert "9 days of annual leave" in parts["cites"]
    assert "dm-hit" in anna.get("/chats/document", params={"doc": "hr/annual-leave.pdf", "start": 0, "end": 9}).text
    world.desk.closed["hr/annual-leave.pdf"] = frozenset({"board"})
    assert anna.get(f"/chats/sources/{exchange}").status_code == 404
    closed = anna.get("/chats/document", params={"doc": "hr/annual-leave.pdf", "start": 0, "end": 9}).text
    gone = anna.get("/chats/document", params={"doc": "hr/nothing.pdf", "start": 0, "end": 9}).text
    assert closed == gone


def test_an_export_holds_what_its_owner_may_read(world: World, anna: TestClient) -> None:
    conversation, _ = world.asked("anna", "vpn 809")
    world.asked("anna", "annual leave\nin Porto", conversation)
    world.handovers.begin(conversation, world.people["anna"], "")
    world.handovers.say(conversation, world.people["anna"], "Is anybody there?")
    reply = anna.get(f"/chats/{conversation}/export.md")
    assert reply.headers["content-disposition"] == 'attachment; filename="vpn-809.md"'
    assert "## annual leave in Porto" in reply.text
    assert "[1] Annual leave › Carrying over (hr/annual-leave.pdf, page 3)" in reply.text
    assert "Is anybody there?" in reply.text
    world.desk.closed["hr/annual-leave.pdf"] = frozenset({"board"})
    assert "30 April" not in anna.get(f"/chats/{conversation}/export.md").text
    data = anna.get(f"/chats/{conversation}/export.json").json()
    assert [one["answer"] is None for one in data["exchanges"]] == [False, True]
    assert data["exchanges"][0]["citations"][0]["doc"] == "it/vpn-guide.md"
    assert data["messages"][0]["from"] == "asker"


def test_a_talk_with_a_person_from_the_asking_to_its_end(world: World, anna: TestClient) -> None:
    conversation, _ = world.asked("anna", "vpn 809")
    assert "Error 809 means" in anna.get(f"/chats/talk?conversation={conversation}").text
    told = anna.post("/chats/talk", json={"conversation": conversation, "note": "it is urgent"}).json()
    assert (told["stage"], told["conversation"]) == ("waiting", conversation)
    assert "Waiting for a person" in told["stand"]
    world.handovers.say(conversation, world.people["anna"], "Hello <b>?")
    said = anna.get(f"/chats/{conversation}/talk").json()["said"]
    assert "Hello &lt;b&gt;?" in said[0]["html"]
    assert anna.get(f"/chats/{conversation}/talk?after={said[0]['said']}").json()["said"] == []
    ended = anna.post(f"/chats/{conversation}/talk/end", json={}).json()
    assert (ended["stage"], ended["stand"]) == ("closed", "")
    assert "The assistant answers again." in ended["ended"]


def test_a_person_can_be_asked_for_before_anything_was_asked(world: World, anna: TestClient) -> None:
    assert "Nothing was asked here yet" in anna.get("/chats/talk").text
    told = anna.post("/chats/talk", json={"note": "My badge is broken"}).json()
    assert "My badge is broken" in anna.get("/chats/list").text
    stand = world.handovers.state(told["conversation"])
    assert stand is not None
    assert stand.open
    again = anna.post("/chats/talk", json={"conversation": told["conversation"]}).json()
    assert again["stage"] == "waiting"


def test_a_database_that_is_gone_is_a_sentence(world: World, anna: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.errors import DeskmateError

    def gone(*_: object) -> None:
        raise DeskmateError("the database cannot be used; try again when it is back")

    monkeypatch.setattr(world.archive, "listed", gone)
    reply = anna.get("/chats/list")
    assert reply.status_code == 503
    assert reply.json()["detail"] == "The database cannot be used; try again when it is back."


def test_a_preview_shows_no_answer_that_its_asker_may_not_read_any_more(world: World, anna: TestClient) -> None:
    conversation, _ = world.asked("anna", "What is VPN error 809?")
    world.desk.closed["it/vpn-guide.md"] = frozenset({"board"})

    page = anna.get(f"/chats/talk?conversation={conversation}").text
    assert "Error 809 means" not in page
    assert "What is VPN error 809?" in page
    assert "may not read any more" in page
