"""The door at the front: who gets in, who does not, and what a session is."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from door_kit import HERE, PASSWORD, add, browser, fresh_database, front_door, quick_hasher, sign_in
from fastapi import FastAPI
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from office import Office
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from app.accounts import audit
from app.accounts.accounts import Accounts, Change
from app.accounts.door import OPEN, local_path
from app.database import Database, sessions
from app.people import Role

PAGE = {"accept": "text/html", "sec-fetch-mode": "navigate"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_hasher(monkeypatch)
    monkeypatch.setattr("app.accounts.routes.sleep", _no_sleep)


async def _no_sleep(seconds: float) -> None:
    return


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    yield from fresh_database(tmp_path)


@pytest.fixture
def app(database: Database, tmp_path: Path) -> FastAPI:
    return front_door(database, tmp_path)


# Guests


def test_without_accounts_a_browser_is_the_same_guest_every_time(app: FastAPI) -> None:
    client = browser(app)
    first, second = client.get("/").json(), client.get("/page").json()
    assert first == second
    assert re.fullmatch(r"guest-[0-9a-f]{32}", first["id"])
    assert (first["groups"], first["role"]) == ([], "asker")
    assert browser(app).get("/").json()["id"] != first["id"]


def test_a_guests_cookie_is_not_what_the_database_knows(app: FastAPI) -> None:
    client = browser(app)
    guest = client.get("/").json()["id"]
    assert client.cookies["deskmate_guest"] not in guest
    forged = browser(app)
    forged.cookies.set("deskmate_guest", guest.removeprefix("guest-"))
    assert forged.get("/").json()["id"] != guest


@pytest.mark.parametrize(
    ("base", "host", "headers", "role"),
    [
        (HERE, "127.0.0.1", {}, "admin"),
        ("http://localhost:7860", "127.0.0.1", {}, "admin"),
        ("http://[::1]:7860", "::1", {}, "admin"),
        (HERE, "192.0.2.9", {}, "asker"),
        ("http://desk.example", "127.0.0.1", {}, "asker"),  # a name that some other site made point here
        (HERE, "127.0.0.1", {"x-forwarded-for": "192.0.2.9"}, "asker"),
        (HERE, "127.0.0.1", {"forwarded": "for=192.0.2.9"}, "asker"),
        (HERE, "127.0.0.1", {"x-forwarded-proto": "https"}, "asker"),
    ],
)
def test_only_a_guest_on_this_very_machine_runs_the_desk(
    app: FastAPI, base: str, host: str, headers: dict[str, str], role: str
) -> None:
    assert browser(app, base, host).get("/", headers=headers).json()["role"] == role


def test_a_guest_has_no_page_to_sign_in(app: FastAPI) -> None:
    reply = browser(app).get("/sign-in?next=/page")
    assert (reply.status_code, reply.headers["location"]) == (303, "/page")


# Accounts


def test_with_an_account_everybody_signs_in_and_comes_back_to_the_page_they_wanted(
    app: FastAPI, database: Database
) -> None:
    client = browser(app)
    assert client.get("/").status_code == 200
    add(database, shown="Anna Berg", groups=frozenset({"hr"}), role=Role.DESK)
    reply = client.get("/page?a=1&b=2", headers=PAGE)
    assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in?next=/page%3Fa%3D1%26b%3D2")
    page = client.get(reply.headers["location"])
    assert page.status_code == 200
    assert 'value="/page?a=1&amp;b=2"' in page.text
    reply = sign_in(client, "  ANNA ", next="/page?a=1&b=2")
    assert (reply.status_code, reply.headers["location"]) == (303, "/page?a=1&b=2")
    assert client.get("/page").json() == {"id": "user-1", "name": "Anna Berg", "groups": ["hr"], "role": "desk"}


def test_a_script_without_a_session_is_told_so(app: FastAPI, database: Database) -> None:
    add(database)
    for headers in ({}, {"accept": "*/*"}, {"accept": "text/html", "sec-fetch-mode": "cors"}):
        reply = browser(app).get("/page", headers=headers)
        assert (reply.status_code, reply.json()) == (401, {"detail": "sign in again"})
    assert browser(app).post("/write", headers=PAGE).status_code == 401


def test_a_wrong_password_and_a_wrong_name_look_the_same(app: FastAPI, database: Database) -> None:
    add(database)
    add(database, "off", disabled=True)
    add(database, "sso", password="")
    replies = [sign_in(browser(app), name, "not the one") for name in ("anna", "nobody", "sso", "off")]
    replies += [sign_in(browser(app), "off"), sign_in(browser(app), "sso", ""), sign_in(browser(app), "", "")]
    texts = {re.sub(r'value="\w*"( autofocus)?| autofocus', "", reply.text) for reply in replies}
    assert {reply.status_code for reply in replies} == {401}
    assert len(texts) == 1
    assert "do not go together" in texts.pop()
    assert not any("set-cookie" in reply.headers for reply in replies)


def test_the_same_work_is_done_for_a_name_that_there_is_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    checked: list[str] = []
    monkeypatch.setattr("app.accounts.accounts._matches", lambda kept, password: checked.append(kept) or False)
    for name in ("anna", "nobody"):
        assert Accounts(database).check(name, "wrong") is None
    assert len(checked) == 2
    assert len({kept.rsplit("$", 2)[0] for kept in checked}) == 1  # the same parameters, so the same time


def test_guessing_is_slowed_for_a_name_and_the_right_password_still_gets_in(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("app.accounts.routes.sleep", sleep)
    add(database)
    app = front_door(database, tmp_path)
    replies = [sign_in(browser(app, host=f"203.0.113.{n}"), "anna", "wrong") for n in range(12)]
    statuses = [reply.status_code for reply in replies]
    assert statuses[:4] == [401] * 4
    assert slept[:4] == [0] * 4
    assert slept == sorted(slept)
    assert slept[-1] > 10
    assert statuses[-1] == 429
    assert "Please try again in" in replies[-1].text
    assert int(replies[-1].headers["retry-after"]) > 0
    monkeypatch.setattr("app.accounts.pace.time.monotonic", lambda: time.perf_counter() + 60)
    slow = front_door(database, tmp_path)
    assert sign_in(browser(slow), "anna", "wrong").status_code == 401
    assert sign_in(browser(slow)).status_code == 303


def test_a_session_is_new_with_every_sign_in_and_ends_the_one_before(app: FastAPI, database: Database) -> None:
    add(database)
    client = browser(app)
    form = {"name": "anna", "password": PASSWORD}
    client.post("/sign-in", data=form, headers={"cookie": "deskmate=chosen-by-somebody-else"})
    first = client.cookies["deskmate"]
    assert first != "chosen-by-somebody-else"
    sign_in(client)
    second = client.cookies["deskmate"]
    assert second != first
    old = browser(app)
    old.cookies.set("deskmate", first)
    assert old.get("/page").status_code == 401
    with database.reading() as connection:
        kept = connection.scalars(sa.select(sessions.c.token)).all()
    assert len(kept) == 1
    assert second not in kept  # only its hash


def test_the_cookie_is_for_this_host_and_for_no_script(app: FastAPI, database: Database) -> None:
    add(database)
    plain = sign_in(browser(app)).headers["set-cookie"]
    assert plain.startswith("deskmate=")
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Secure" not in plain
    safe = sign_in(browser(app, "https://desk.example")).headers["set-cookie"]
    assert safe.startswith("__Host-deskmate=")
    assert "Secure" in safe
    assert "Path=/" in safe
    assert "Domain" not in safe


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='",;\\'), max_size=80))
@example("a" * 4000)
def test_a_forged_cookie_is_none(app: FastAPI, database: Database, cookie: str) -> None:
    if not Accounts(database).any():
        add(database)
    client = browser(app)
    reply = client.get("/page", headers={"cookie": f"deskmate={cookie}"})
    assert reply.status_code == 401


def test_a_session_ends_after_idle_hours_and_after_the_longest_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    app = front_door(database, tmp_path, sign_in={"idle_hours": 1, "longest_hours": 3})
    client = browser(app)
    sign_in(client)
    begun = time.time()
    for minutes, status in ((50, 200), (100, 200), (150, 200), (179, 200), (181, 401)):
        monkeypatch.setattr("app.accounts.sessions.time.time", lambda at=begun + minutes * 60: at)
        assert client.get("/page").status_code == status, minutes
    monkeypatch.undo()
    quick_hasher(monkeypatch)
    sign_in(client)
    monkeypatch.setattr("app.accounts.sessions.time.time", lambda: begun + 3700)
    assert client.get("/page").status_code == 401
    monkeypatch.setattr("app.accounts.sessions.time.time", lambda: begun + 4 * 3600)
    sign_in(client)  # what is over is cleared away
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(sessions)) == 1


def test_what_an_account_may_counts_at_once_and_a_disabled_one_is_out(app: FastAPI, database: Database) -> None:
    add(database)
    client = browser(app)
    sign_in(client)
    accounts = Accounts(database)
    accounts.change("anna", "test", Change(groups=frozenset({"hr"}), role=Role.ADMIN))
    assert client.get("/page").json() | {"id": 0} == {"id": 0, "name": "anna", "groups": ["hr"], "role": "admin"}
    accounts.change("anna", "test", Change(disabled=True))
    assert client.get("/page").status_code == 401
    accounts.change("anna", "test", Change(disabled=False))
    assert client.get("/page").status_code == 401  # the session went with it
    assert sign_in(client).status_code == 303
    accounts.change("anna", "test", Change(password="another long one"))
    assert client.get("/page").status_code == 401
    sign_in(client, password="another long one")
    add(database, "bob")
    accounts.remove("anna", "test")
    assert client.get("/page").status_code == 401


def test_signing_out_ends_the_session_here_and_says_so(app: FastAPI, database: Database) -> None:
    add(database)
    client, thief = browser(app), browser(app)
    sign_in(client)
    thief.cookies.set("deskmate", client.cookies["deskmate"])
    assert client.get("/sign-out").status_code in (404, 405)  # a link or an image cannot do it
    reply = client.post("/sign-out", headers={"sec-fetch-site": "same-origin"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in?out=1")
    assert "You are signed out." in client.get("/sign-in?out=1").text
    assert client.get("/page").status_code == 401
    assert thief.get("/page").status_code == 401
    assert [one.what for one in audit.entries(database)][:2] == ["sign-out", "sign-in"]


def test_what_happened_is_in_the_audit_without_names_and_passwords(app: FastAPI, database: Database) -> None:
    add(database)
    sign_in(browser(app), "anna", "wrong")
    sign_in(browser(app))
    found = audit.entries(database)
    assert [(one.who, one.what) for one in found[:2]] == [("user-1", "sign-in"), ("nobody", "sign-in.refused")]
    assert not any(secret in str(found) for secret in ("anna", "wrong", PASSWORD))


@given(st.text(max_size=30).map(lambda text: f"/{text}") | st.text(max_size=30))
@example("//evil.example")
@example("/\\evil.example")
@example("//[")
@example("https://evil.example")
@example("/\t/evil.example")
@example("\\\\evil.example")
@example("javascript:alert(1)")
@example("/sign-out")
def test_nobody_is_ever_sent_to_another_site(wanted: str) -> None:
    path = local_path(wanted)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isprintable()
    assert path in (wanted, "/")


# Requests that nobody should make


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
def test_another_sites_page_can_write_nothing(app: FastAPI, headers: dict[str, str]) -> None:
    for path in ("/write", "/sign-in", "/sign-out", "/gradio_api/queue/join", "/rate/x/pair"):
        assert browser(app).post(path, headers=headers).status_code == 403
    assert browser(app).get("/page", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": HERE}, {}, {"sec-fetch-site": "none"}]
)
def test_our_own_pages_can_write(app: FastAPI, headers: dict[str, str]) -> None:
    assert browser(app).post("/write", headers=headers, content=b"abc").json() == 3


def test_a_body_that_is_too_large_is_refused_whatever_it_says_of_itself(app: FastAPI) -> None:
    client = browser(app)
    assert client.post("/write", content=b"x" * 2_000_001).status_code == 413
    assert client.post("/write", content=iter([b"x" * 1_000_000] * 3)).status_code == 413
    assert client.post("/write", headers={"content-length": "-1"}).status_code == 413
    assert client.post("/sign-in", content=b"name=" + b"x" * 9000).status_code == 413


def test_a_database_that_is_gone_is_said_without_its_name(
    app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.errors import DeskmateError

    add(database)

    def gone(*_: object) -> None:
        raise DeskmateError("the database postgresql://deskmate:***@db.internal/desk cannot be used")

    monkeypatch.setattr(database, "reading", gone)
    client = browser(app)
    for reply in (client.get("/page", headers=PAGE), client.get("/sign-in"), sign_in(client)):
        assert reply.status_code == 503
        assert "does not answer" in reply.text
        assert "db.internal" not in reply.text


def test_the_page_has_our_headers_and_nothing_inline(app: FastAPI, database: Database) -> None:
    add(database)
    page = browser(app).get("/sign-in?next=%22%3E%3Cscript%3E")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert "<script>" not in page.text
    assert not re.search(r"\son\w+=|style=", page.text)


def test_nobody_listens_to_the_tab_of_somebody_else(tmp_path: Path, database: Database) -> None:
    from app.web.harden import Guard

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("events")(scope, receive, send)

    app = front_door(database, tmp_path)
    app.mount("/", Guard(gradio, str))
    add(database, "anna")
    add(database, "bob")
    anna, bob = browser(app), browser(app)
    sign_in(anna, "anna")
    sign_in(bob, "bob")
    for path in ("/gradio_api/heartbeat/tab1", "/gradio_api/queue/data?session_hash=tab1"):
        assert [anna.get(path).status_code, bob.get(path).status_code] == [200, 404]
    assert bob.get("/gradio_api/queue/data?session_hash=tab2").status_code == 200
    assert anna.get("/gradio_api/heartbeat/tab2").status_code == 404


# The whole application


def _paths(routes: list[object], prefix: str = "") -> Iterator[str]:
    """An address of every route there is, with something in place of its parameters."""
    for route in routes:
        if isinstance(route, Mount):
            yield from _paths(list(route.routes or []), prefix + route.path)
            yield f"{prefix}{route.path}/x"
        elif hasattr(route, "original_router"):  # how FastAPI keeps a router that was included
            yield from _paths(list(route.original_router.routes), prefix)
        elif isinstance(route, Route):
            yield prefix + re.sub(r"\{[^}]*\}", "x", route.path)


@pytest.fixture
def whole(office: Office) -> FastAPI:
    """Everything that `deskmate chat` serves."""
    from api_kit import open_desk

    from app.api.routes import Api
    from app.server import create_app
    from app.staff.workplace import workplace

    desk = open_desk(office)
    add(desk.database, role=Role.ASKER)
    api, staff, reports = Api(desk), workplace(desk), office.workspace.root / "reports"
    app = create_app(
        api.counted(), desk.database, desk.settings, handovers=staff.handovers, staff=staff, reports=reports
    )
    api.mount(app)
    return app


def test_no_path_but_the_open_ones_answers_without_a_session_and_no_staff_page_an_asker(whole: FastAPI) -> None:
    paths = sorted(set(_paths(list(whole.router.routes))))
    assert len(paths) > 60
    known = {"/", "/reports", "/rate/x/pair", "/sign-in", "/healthz", "/gradio_api/queue/join", "/staff/queue"}
    assert known <= set(paths)
    with browser(whole) as client:
        for path in paths:
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
                if not OPEN.fullmatch(path):
                    assert client.request(method, path).status_code == 401, f"{method} {path}"
        for path in ("/healthz", "/readyz", "/metrics", "/sign-in", "/desk/chat.js", "/favicon.ico"):
            assert client.get(path).status_code == 200, path
        assert client.get("/v1/models").json()["error"]["code"] == "invalid_api_key"
        sign_in(client)
        for path in paths:
            for method in ("GET", "POST"):
                if path.startswith("/staff/"):
                    reply = client.request(method, path)
                    assert reply.status_code in (403, 404, 405, 413, 422) or reply.headers.get("location"), path
                    assert path == "/staff/" or "location" not in reply.headers, path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.sampled_from(["sign-in", "v1", "desk", "..", "%2e%2e", "", "page", "metrics", "%2f"]), max_size=5))
def test_no_spelling_of_a_path_gets_past_the_door(app: FastAPI, database: Database, parts: list[str]) -> None:
    if not Accounts(database).any():
        add(database)
    reply = browser(app).get(f"{HERE}/{'/'.join(parts)}")
    assert "user-" not in reply.text
    assert "guest-" not in reply.text
