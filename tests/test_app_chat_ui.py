"""How a conversation goes, and what the web application lets through."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_desk import FakeDesk
from fastapi.testclient import TestClient
from web_kit import web_app

from app.answering.modes import Mode
from app.chat.archive import Archive
from app.chat.conversation import UNEXPECTED, Conversation, House, Limits
from app.chat.session import Asked, Patch, Session, Visit
from app.database import open_database
from app.people import Person
from app.staff.handovers import Handovers
from app.who import set_person
from ingest.errors import DeskmateError

ANNA = Person("user-1", "Anna")


def visit(tab: str = "tab") -> Visit:
    return Visit(ANNA, tab)


Talk = Callable[..., Conversation]


@pytest.fixture
def conversation(tmp_path: Path) -> Talk:
    database = open_database("", tmp_path)

    def make(desk: FakeDesk, **limits: int) -> Conversation:
        house = House("Help desk", ("What is a VPN?",))
        limit = Limits(**limits) if limits else None
        return Conversation(desk, Archive(database, desk), Handovers(database), house, limit)

    return make


def begin(talk: Conversation, session: Session, question: str, tab: str = "tab", **more: Any) -> Patch:
    asked = Asked(question, more.pop("mode", Mode.RAG_ONLY), session.conversation or "", **more)
    return talk.begin(session, visit(tab), asked)


def ask(talk: Conversation, session: Session, question: str, **more: Any) -> list[Patch]:
    first = begin(talk, session, question, **more)
    return [first, *talk.answer(session, visit())]


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk(word_s=0, prefill_s=0)


@pytest.fixture
def slow() -> FakeDesk:
    return FakeDesk(word_s=0.02, prefill_s=0.02)


def test_the_states_come_before_the_words_and_the_answer_last(slow: FakeDesk, conversation: Talk) -> None:
    patches = ask(conversation(slow), Session(), "vpn error 809")
    bodies = [patch["body"] for patch in patches]
    assert "Searching the documents" in bodies[0]
    assert any("Found 6 passages" in body for body in bodies[1:3])
    assert any("dm-writing" in body for body in bodies[3:-1])
    assert "Sources" in bodies[-1]
    assert [patch["busy"] for patch in patches] == [True] * (len(patches) - 1) + [False]
    assert len({patch["seq"] for patch in patches}) == len(patches)


def test_each_patch_is_complete_for_its_turn(slow: FakeDesk, conversation: Talk) -> None:
    patches = ask(conversation(slow), Session(), "vpn error 809")
    assert all(patch["turn"] == 1 and "vpn error 809" in patch["question"] for patch in patches)
    with_refs = ["refs" in patch for patch in patches]
    assert with_refs == sorted(with_refs), "once the passages are there, no patch takes them away"


def test_an_empty_question_is_a_gentle_hint(desk: FakeDesk, conversation: Talk) -> None:
    session = Session()
    (patch,) = ask(conversation(desk), session, "  \n ")
    assert patch["hint"] == "Type a question first."
    assert "turn" not in patch
    assert not desk.asked


def test_one_question_at_a_time(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    begin(talk, session, "vpn", "tab")
    assert "Stop" in begin(talk, session, "phone", "tab")["hint"]


def test_what_the_user_can_mend_is_a_sentence_and_the_chat_goes_on(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    last = ask(talk, session, "x" * 100_000)[-1]
    assert "The question has 100,000 characters, at most 8,000 are read; shorten it." in last["body"]
    assert "Try again" in last["after"]
    assert not last["busy"]
    assert "Sources" in ask(talk, session, "vpn")[-1]["body"]


def test_an_unexpected_error_is_logged_and_not_shown(
    desk: FakeDesk, caplog: pytest.LogCaptureFixture, conversation: Talk
) -> None:
    last = ask(conversation(desk), Session(), "crash")[-1]
    assert UNEXPECTED in last["body"]
    assert "secret" not in str(last)
    assert "a secret in a traceback" in caplog.text


def test_stop_cancels_the_model_and_keeps_what_was_written(slow: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(slow), Session()
    begin(talk, session, "vpn error 809", "tab")
    patches: list[Patch] = []
    for patch in talk.answer(session, visit()):
        patches.append(patch)
        if "dm-writing" in patch.get("body", ""):
            talk.stop(session)
    assert slow.stopped == ["vpn error 809"]
    assert "You stopped this answer." in patches[-1]["body"]
    assert not patches[-1]["busy"]


def test_a_closed_tab_stops_its_answer(slow: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(slow), Session()
    begin(talk, session, "vpn error 809", "tab")
    for patch in talk.answer(session, visit()):
        if "dm-writing" in patch.get("body", ""):
            talk.left("tab")
    assert slow.stopped


def test_a_tab_closed_while_waiting_frees_its_place(desk: FakeDesk, conversation: Talk) -> None:
    talk = conversation(desk, at_once=1, waiting=0)
    begin(talk, Session(), "vpn", "gone")
    talk.left("gone")
    assert "Sources" in ask(talk, Session(), "vpn")[-1]["body"]


def test_a_full_desk_says_that_one_waits_and_then_that_it_is_too_much(desk: FakeDesk, conversation: Talk) -> None:
    talk = conversation(desk, at_once=1, waiting=1)
    begin(talk, Session(), "vpn", "a")
    assert "Waiting for a free place" in begin(talk, Session(), "vpn", "b")["body"]
    third = Session()
    begin(talk, third, "vpn", "c")
    assert "Too many questions are waiting" in list(talk.answer(third, visit("c")))[-1]["body"]


def test_one_person_with_many_tabs_leaves_the_line_to_others(desk: FakeDesk, conversation: Talk) -> None:
    talk = conversation(desk, at_once=1, waiting=5, each=2)
    tabs = [Session() for _ in range(40)]
    taken = [begin(talk, tab, "vpn", f"tab {n}") for n, tab in enumerate(tabs)]
    assert [bool(patch.get("taken")) for patch in taken] == [True] * 2 + [False] * 38
    assert taken[-1]["hint"].startswith("You have 2 questions running already, here or in another window")
    assert "turn" not in taken[-1]
    bram, other = Visit(Person("user-2", "Bram"), "other"), Session()
    assert talk.begin(other, bram, Asked("lost phone", Mode.RAG_ONLY))["taken"]
    for tab in tabs[:2]:
        assert "Sources" in list(talk.answer(tab, visit()))[-1]["body"]
    assert "extension 4000" in list(talk.answer(other, bram))[-1]["body"]
    assert begin(talk, tabs[-1], "vpn", "tab 39")["taken"], "once they are answered, one may ask again"


def test_a_refused_question_leaves_the_edited_one_as_it_was(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk, each=1), Session()
    ask(talk, session, "vpn")
    talk.edit(session, visit(), session.conversation or "")
    begin(talk, Session(), "phone", "other tab")
    assert "a question running" in begin(talk, session, "lost phone")["hint"]
    talk.left("other tab")
    assert begin(talk, session, "lost phone")["drop"] == 1


def test_a_page_that_is_gone_before_its_answer_begins_holds_no_place(desk: FakeDesk, conversation: Talk) -> None:
    from types import SimpleNamespace

    from app.chat.ui import build_chat

    talk = conversation(desk)
    ask_ = next(one.fn for one in build_chat(talk, "Help desk").fns.values() if one.name == "ask")
    request = SimpleNamespace(request=SimpleNamespace(scope={}), session_hash="tab")
    set_person(request.request.scope, ANNA)
    stream = ask_("rag-only", Session(), SimpleNamespace(_data={"question": "vpn"}), request)
    assert next(stream)[0]["taken"]
    assert talk.running == 1
    stream.close()
    assert talk.running == 0


def test_no_more_answers_are_computed_at_once_than_allowed(slow: FakeDesk, conversation: Talk) -> None:
    talk = conversation(slow, at_once=1, waiting=5)
    first, second = Session(), Session()
    begin(talk, first, "vpn error 809", "a")
    running = talk.answer(first, visit("a"))
    next(running)
    begin(talk, second, "lost phone", "b")
    ends: list[Patch] = []
    waiting = threading.Thread(target=lambda: ends.extend(talk.answer(second, visit("b"))))
    waiting.start()
    waiting.join(timeout=0.3)
    assert [question for question, *_ in slow.asked] == ["vpn error 809"][: len(slow.asked)]
    assert not ends
    assert "Sources" in list(running)[-1]["body"]
    waiting.join(timeout=10)
    assert "extension 4000" in ends[-1]["body"]


def test_who_waits_can_stop(slow: FakeDesk, conversation: Talk) -> None:
    talk = conversation(slow, at_once=1, waiting=5)
    first, second = Session(), Session()
    begin(talk, first, "vpn error 809", "a")
    running = talk.answer(first, visit("a"))
    next(running)
    begin(talk, second, "lost phone", "b")
    talk.stop(second)
    (last,) = talk.answer(second, visit("b"))
    assert "You stopped this answer." in last["body"]
    assert not last["busy"]
    assert "Sources" in list(running)[-1]["body"]


def test_retry_and_edit_take_the_place_of_the_last_turn(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "vpn")
    again = ask(talk, session, "", again=True)
    assert (again[-1]["turn"], again[-1]["drop"]) == (2, 1)
    assert desk.asked[-1][0] == "vpn"
    patch, question = talk.edit(session, visit(), session.conversation or "")
    assert (question, patch["edit"]) == ("vpn", "Editing your last question.")
    changed = ask(talk, session, "lost phone")
    assert (changed[-1]["turn"], changed[-1]["drop"], changed[0]["edit"]) == (3, 2, "")
    assert session.last is not None
    assert session.last.question == "lost phone"


def test_an_edit_can_be_left(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "vpn")
    talk.edit(session, visit(), session.conversation or "")
    assert talk.unedit(session)["edit"] == ""
    assert ask(talk, session, "phone")[-1]["drop"] is None


def test_the_model_is_told_what_was_said_but_no_refusals_or_failures(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    for question in ("vpn", "who paints the bridge", "crash", "munich"):
        ask(talk, session, question)
    history = desk.asked[-1][2]
    assert [turn["content"] for turn in history if turn["role"] == "user"] == ["vpn"]
    ask(talk, session, "", again=True)
    assert len(desk.asked[-1][2]) == 2, "a question that is asked again is not its own history"


def test_a_new_chat_forgets(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "vpn")
    assert "How can we help" in talk.fresh(session)["welcome"]
    ask(talk, session, "phone")
    assert desk.asked[-1][2] == ()


def test_an_answer_that_runs_into_a_new_chat_does_not_show_there(slow: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(slow), Session()
    begin(talk, session, "vpn error 809", "tab")
    after: list[Patch] = []
    begun_anew = False
    for patch in talk.answer(session, visit()):
        if begun_anew:
            after.append(patch)
        elif "dm-writing" in patch.get("body", ""):
            talk.fresh(session)
            begun_anew = True
    assert begun_anew
    assert after == []
    assert session.conversation is None


def test_a_stream_that_ends_early_still_ends_the_turn(
    desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, conversation: Talk
) -> None:
    full = desk.stream

    def broken(question: str, **more: Any) -> Iterator[Any]:
        yield from list(full(question, **more))[:-1]

    monkeypatch.setattr(desk, "stream", broken)
    last = ask(conversation(desk), Session(), "vpn")[-1]
    assert not last["busy"]
    assert "You stopped" in last["body"]


def test_the_page_opens_without_an_index(desk: FakeDesk, monkeypatch: pytest.MonkeyPatch, conversation: Talk) -> None:
    def none() -> None:
        raise DeskmateError("there is no index")

    monkeypatch.setattr(desk, "status", none)
    assert "your company's documents" in conversation(desk).welcome()["welcome"]


# What is kept.


def texts(patch: Patch) -> str:
    return " ".join(part.get("body", "") + part.get("html", "") for part in patch["log"])


def test_a_page_that_outlives_a_restart_goes_on_where_it_was(desk: FakeDesk, conversation: Talk) -> None:
    before = Session()
    ask(conversation(desk), before, "vpn")
    asked = Asked("and my phone?", Mode.RAG_ONLY, before.conversation or "")
    talk, after = conversation(desk), Session(asked=1000)
    first = talk.begin(after, visit(), asked)
    assert "Error 809" in texts(first), "the whole conversation comes with the first patch"
    assert first["turn"] == 1002
    *_, last = talk.answer(after, visit())
    assert last["conversation"] == before.conversation
    assert [turn["content"] for turn in desk.asked[-1][2] if turn["role"] == "user"] == ["vpn"]
    again = talk.begin(after, visit(), Asked("", Mode.RAG_ONLY, before.conversation or "", again=True))
    assert (again["turn"], again["drop"]) == (1003, 1002)


def test_the_last_question_can_be_edited_and_asked_again_after_a_restart(desk: FakeDesk, conversation: Talk) -> None:
    before = Session()
    ask(conversation(desk), before, "vpn")
    kept = before.conversation or ""
    talk, after = conversation(desk), Session(asked=1000)
    patch, question = talk.edit(after, visit(), kept)
    assert (question, bool(patch["edit"])) == ("vpn", True)
    ask(talk, after, "lost phone")
    shown = talk.open(Session(), visit(), kept)
    assert [part["question"].count("lost phone") for part in shown["log"]] == [1]


def test_an_opened_conversation_is_as_it_was_with_its_thumbs(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    *_, last = ask(talk, session, "vpn 809")
    shown = talk.open(Session(), visit(), session.conversation or "")
    (turn,) = shown["log"]
    assert (turn["body"], turn["after"], turn["question"]) == (last["body"], last["after"], last["question"])
    assert f'data-exchange="{turn["exchange"]}"' in turn["after"]
    assert shown["title"] == "vpn 809"


@pytest.mark.parametrize("other", ["0" * 32, "", "' OR 1=1 --", "x" * 10_000])
def test_a_conversation_that_is_not_theirs_is_not_there(desk: FakeDesk, conversation: Talk, other: str) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "vpn")
    bram = Visit(Person("user-2", "Bram"), "other")
    theirs, none = (talk.open(Session(), bram, id_) for id_ in (session.conversation or "", other))
    assert theirs == none
    assert theirs["hint"].startswith("There is no such conversation.")
    assert "log" not in theirs
    refused = talk.begin(Session(), bram, Asked("what was that?", Mode.RAG_ONLY, session.conversation or ""))
    assert "taken" not in refused
    assert "vpn" not in str(refused["welcome"])


def test_an_answer_that_may_not_be_read_any_more_is_a_calm_note(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "annual leave in Porto")
    desk.closed["hr/annual-leave.pdf"] = frozenset({"board"})
    (turn,) = talk.open(Session(), visit(), session.conversation or "")["log"]
    assert "annual leave in Porto" in turn["question"]
    assert "may not read any more" in turn["body"]
    assert "30 April" not in str(turn)
    ask(talk, session, "and the hotel in munich?")
    assert desk.asked[-1][2] == ()


def test_an_answer_that_cannot_be_kept_is_shown_all_the_same(
    desk: FakeDesk, conversation: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise DeskmateError("the database cannot be used")

    monkeypatch.setattr(Archive, "keep", gone)
    last = ask(conversation(desk), Session(), "vpn")[-1]
    assert "Sources" in last["body"]
    assert last["hint"] == "This answer is not kept: the database cannot be used."
    assert "dm-judge" not in last["after"], "what is not kept cannot be judged"


def test_it_is_kept_before_the_page_says_that_it_is_finished(desk: FakeDesk, conversation: Talk) -> None:
    talk, session = conversation(desk), Session()
    begin(talk, session, "vpn")
    for patch in talk.answer(session, visit()):
        if not patch["busy"]:
            assert "Sources" in talk.open(Session(), visit("other"), patch["conversation"])["log"][0]["body"]


def test_while_people_have_the_word_the_assistant_is_silent(desk: FakeDesk, conversation: Talk, tmp_path: Path) -> None:
    talk, session = conversation(desk), Session()
    ask(talk, session, "vpn")
    kept = session.conversation or ""
    people = Handovers(open_database("", tmp_path))
    people.begin(kept, ANNA, "")
    before = len(desk.asked)
    (patch,) = ask(talk, session, "is anybody there?")
    assert patch["heard"]
    assert "taken" not in patch
    assert ask(talk, session, "", again=True) == [patch | {"seq": patch["seq"] + 1}]
    assert len(desk.asked) == before
    assert [said.text for said in people.since(kept)] == ["is anybody there?"]
    shown = talk.open(Session(), visit(), kept)
    assert shown["talk"]["stage"] == "waiting"
    assert "is anybody there?" in shown["log"][-1]["html"]
    people.close(kept, ANNA)
    assert "extension 4000" in ask(talk, session, "lost phone")[-1]["body"]


def test_what_no_database_takes_is_left_out_of_a_question(desk: FakeDesk, conversation: Talk) -> None:
    ask(conversation(desk), Session(), "vpn\0 \ud800809")
    assert desk.asked[-1][0] == "vpn 809"


def test_everybody_is_answered_from_what_they_may_read(desk: FakeDesk, conversation: Talk) -> None:
    seen: list[frozenset[str]] = []
    stream = desk.stream

    def watched(question: str, *, groups: frozenset[str], **more: Any) -> Iterator[Any]:
        seen.append(groups)
        return stream(question, groups=groups, **more)

    desk.stream = watched  # type: ignore[method-assign]
    talk, session = conversation(desk), Session()
    hr = Visit(Person("user-3", "Cleo", frozenset({"hr"})), "tab")
    talk.begin(session, hr, Asked("vpn", Mode.RAG_ONLY))
    list(talk.answer(session, hr))
    assert seen == [frozenset({"hr"})]


# The web application.


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    nasty = 'Desk `${1}` {{x}} "<b>"'
    app = web_app(FakeDesk(0, 0), tmp_path_factory.mktemp("home"), chat={"title": nasty, "examples": [nasty]})
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


def test_healthz(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_page_names_no_other_host_to_load_from(client: TestClient) -> None:
    import re

    page = client.get("/").text
    assert "<title>Desk `${1}` {{x}} &quot;&lt;b&gt;&quot;</title>" in page
    loads = re.findall(r'(?:src|href|content)="(https?:)?//[^"]*"', page)
    assert loads == []
    assert "fonts.googleapis" not in client.get("/theme.css").text


def test_the_page_forbids_other_hosts_frames_and_caching(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/docs", "/redoc", "/openapi.json", "/monitoring", "/manifest.json", "/login", "/gradio_api/info",
        "/gradio_api/openapi.json", "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/runs",
        "/gradio_api/proxy=https://example.org", "/gradio_api/mcp/", "/gradio_api/deep_link",
        "/gradio_api/upload_progress", "/gradio_api/queue/status", "/gradio_api/app_id", "/gradio_api/call/begin/x",
        "/desk/../api.py",
        "/static/../../../../etc/passwd", "/assets/%2e%2e/%2e%2e/index.html",
    ],
)  # fmt: skip
def test_what_the_chat_does_not_need_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["upload", "run/predict", "call/begin", "process_recording", "api/predict"])
def test_nothing_is_uploaded_or_called_past_the_queue(client: TestClient, path: str) -> None:
    assert client.post(f"/gradio_api/{path}", json={}).status_code == 404


def test_another_sites_page_may_not_ask(client: TestClient) -> None:
    reply = client.post("/gradio_api/queue/join", json={}, headers={"origin": "https://evil.example"})
    assert reply.status_code == 403
    assert "access-control-allow-origin" not in client.get("/", headers={"origin": "http://127.0.0.1:7860"}).headers


def test_a_huge_request_is_refused_unread(client: TestClient) -> None:
    reply = client.post("/gradio_api/queue/join", content=b"x", headers={"content-length": "3000000"})
    assert reply.status_code == 413


def test_the_desks_own_files_are_served(client: TestClient) -> None:
    assert "deskmate" in client.get("/desk/chat.js").text
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


def test_a_taken_port_is_said_before_anything_loads() -> None:
    from app.server import claim_port

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DeskmateError, match=rf"port {port} on 127\.0\.0\.1 is in use; choose another with --port"):
            claim_port("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said() -> None:
    from app.server import claim_port

    with pytest.raises(DeskmateError, match=r"--port|--host"):
        claim_port("192.0.2.1", 7860)


def test_open_pages_that_are_cut_off_at_the_end_are_no_news() -> None:
    import asyncio
    import logging

    from app.server import _is_news

    def record(message: str, error: BaseException | None) -> logging.LogRecord:
        found = (type(error), error, None) if error else None
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, (), found)

    assert not _is_news(record("Exception in ASGI application", asyncio.CancelledError()))
    assert not _is_news(record("Cancel 3 running task(s), timeout graceful shutdown exceeded", None))
    assert _is_news(record("Exception in ASGI application", ValueError()))


def test_serve_desk_claims_the_port_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from app.server import serve_desk

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        chat = SimpleNamespace(host="127.0.0.1", port=other.getsockname()[1])
        desk = SimpleNamespace(settings=SimpleNamespace(chat=chat))  # nothing to load: asking it would fail
        with pytest.raises(DeskmateError, match="is in use"):
            serve_desk(desk)  # type: ignore[arg-type]


def test_sessions_do_not_share_anything(conversation: Talk) -> None:
    desk = FakeDesk(word_s=0.01, prefill_s=0.01)
    talk = conversation(desk)
    ends: dict[str, Patch] = {}

    def one(question: str) -> None:
        session = Session()
        begin(talk, session, question, question)
        ends[question] = list(talk.answer(session, visit(question)))[-1]

    threads = [threading.Thread(target=one, args=(question,)) for question in ("vpn", "lost phone", "munich hotel")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "809" in ends["vpn"]["body"]
    assert "extension 4000" in ends["lost phone"]["body"]
    assert "175 euros" in ends["munich hotel"]["body"]


# Modes


def test_the_page_offers_the_modes_of_the_moment_and_begins_with_the_first(conversation: Talk) -> None:
    from app.chat.ui import _choice

    desk = FakeDesk()
    talk = conversation(desk)
    assert (_choice(talk).value, [value for _, value in _choice(talk).choices]) == (
        "rag-only",
        ["rag-only", "prompt-only"],
    )
    desk.now = (Mode.HYBRID, Mode.RAG_ONLY, Mode.TUNE_ONLY, Mode.PROMPT_ONLY)  # an adapter was promoted
    assert _choice(talk).value == "hybrid"
    assert len(_choice(talk).choices) == 4


def test_an_adapter_that_was_damaged_leaves_the_page_with_the_untuned_modes(monkeypatch, conversation: Talk) -> None:
    desk = FakeDesk()

    def damaged(groups: frozenset[str]) -> None:
        raise DeskmateError("the adapter house/v1 cannot be used")

    monkeypatch.setattr(desk, "modes", damaged)
    assert conversation(desk).modes() == (Mode.RAG_ONLY, Mode.PROMPT_ONLY)


def test_the_details_name_the_adapter_and_say_when_it_is_stale(desk: FakeDesk, conversation: Talk) -> None:
    import dataclasses

    from app.chat.details import details_html

    session = Session()
    assert "house/v3" in ask(conversation(desk), session, "vpn error 809", mode=Mode.HYBRID)[-1]["after"]
    assert session.last is not None
    assert session.last.answer is not None
    answer = dataclasses.replace(session.last.answer, stale="stale: 1 changed of its training documents")
    assert "house/v3, stale: 1 changed of its training documents" in details_html(answer)
