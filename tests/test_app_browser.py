"""The chat in a real browser: Debian's Chromium by Playwright, with a desk that needs no model."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_desk import FakeDesk

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXAMPLES = ["I lost my phone. What are the steps?", "What does VPN error 809 mean?"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium; apt-get install chromium"),
]

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install -e '.[dev]'")
expect = sync_api.expect
expect.set_options(timeout=20_000)  # the machine may be busy with other tests


@dataclass
class Seen:
    """A page, and everything that it asked for or complained about."""

    page: "sync_api.Page"
    home: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str) -> None:
        self.page.fill("#dm-question textarea", question)
        self.page.keyboard.press("Enter")

    def asked(self, question: str) -> None:
        self.ask(question)
        expect(self.page.locator(".dm-turn:last-child .dm-tools")).to_be_visible(timeout=30_000)


@pytest.fixture(scope="module")
def desk() -> FakeDesk:
    return FakeDesk(word_s=0.03, prefill_s=0.3)


@contextmanager
def held(gate: threading.Event) -> Iterator[None]:
    """While it lasts, an answer stops at the gate, so that the browser has time to look."""
    gate.clear()
    try:
        yield
    finally:
        gate.set()


@pytest.fixture(scope="module")
def home(desk: FakeDesk) -> Iterator[str]:
    import uvicorn

    from app.api import claim_port, create_app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(desk, title="Brightwater help desk", examples=EXAMPLES, groups=frozenset())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    claimed = claim_port("127.0.0.1", port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [claimed]})
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser: "sync_api.Browser", home: str, width: int = 1280, **more: str) -> Seen:
    context = browser.new_context(viewport={"width": width, "height": 844}, **more)
    page = context.new_page()
    seen = Seen(page, home)
    page.on("request", lambda r: None if r.url.startswith((home, "data:", "blob:")) else seen.foreign.append(r.url))
    page.on("console", lambda m: seen.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("response", lambda r: seen.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.goto(home)
    page.wait_for_selector("body.dm-ready", timeout=60_000)
    return seen


@pytest.fixture
def seen(browser: "sync_api.Browser", home: str) -> Iterator[Seen]:
    seen = open_page(browser, home)
    yield seen
    seen.page.context.close()
    assert seen.foreign == [], "the page asked another host"
    assert seen.complaints == [], "the browser complained"


@pytest.fixture
def phone(browser: "sync_api.Browser", home: str) -> Iterator[Seen]:
    seen = open_page(browser, home, width=390)
    yield seen
    seen.page.context.close()
    assert seen.foreign == []
    assert seen.complaints == []


def test_a_question_is_answered_word_by_word_with_its_sources(seen: Seen, desk: FakeDesk) -> None:
    page = seen.page
    expect(page.locator(".dm-welcome")).to_contain_text("34 documents")
    with held(desk.may_write):
        with held(desk.may_search):
            seen.ask("What does VPN error 809 mean?")
            expect(page.locator(".dm-state")).to_contain_text("Searching the documents")
        expect(page.locator(".dm-writing")).to_be_visible()
        early = page.locator(".dm-body").inner_text()
    expect(page.locator(".dm-tools")).to_be_visible()
    final = page.locator(".dm-text").inner_text()
    assert len(early) < len(final)
    expect(page.locator(".dm-cards .dm-card")).to_have_count(2)
    expect(page.locator("#dm-question textarea")).to_have_value("")
    expect(page.locator("#dm-send")).to_be_visible()
    page.locator("summary").click()
    expect(page.locator(".dm-search table")).to_contain_text("it/vpn-guide.md")


def test_a_citation_opens_its_span_by_click_and_steps_to_the_next(seen: Seen) -> None:
    page = seen.page
    seen.asked("What does VPN error 809 mean?")
    page.locator(".dm-text .dm-chip").nth(1).click()
    panel = page.locator("#dm-source")
    expect(panel).to_be_visible()
    expect(panel.locator("h2")).to_have_text("Lockgate VPN guide")
    expect(panel).to_contain_text("it/vpn-guide.md")
    expect(panel.locator("mark").first).to_have_text("Switch to Brightwater-443. Nothing is wrong with your laptop.")
    expect(panel.locator("mark").first).to_be_in_viewport()
    panel.get_by_label("Next source").click()
    expect(panel.locator("mark").first).to_contain_text("A session ends after 10 hours")
    expect(panel.locator("mark").first).to_be_in_viewport()
    page.get_by_text("Show the whole document").click()
    expect(panel).to_contain_text("Owner: Bram Okkerse")
    panel.get_by_label("Close the source").click()
    expect(panel).to_be_hidden()


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_citation_opens_by_keyboard_and_escape_goes_back_to_it(seen: Seen, key: str) -> None:
    page = seen.page
    seen.asked("vpn 809")
    page.locator(".dm-text .dm-chip").first.focus()
    page.keyboard.press(key)
    expect(page.locator("#dm-source mark").first).to_be_in_viewport()
    expect(page.locator("#dm-source-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#dm-source")).to_be_hidden()
    expect(page.locator(".dm-text .dm-chip").first).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#dm-question textarea")).to_be_focused()


def test_stop_really_stops(seen: Seen, desk: FakeDesk) -> None:
    before = len(desk.stopped)
    with held(desk.may_write):
        seen.ask("lost phone steps")
        expect(seen.page.locator(".dm-writing")).to_be_visible()
        seen.page.locator("#dm-stop").click()
        expect(seen.page.locator(".dm-note")).to_have_text("You stopped this answer.")
    assert len(desk.stopped) == before + 1
    seen.page.get_by_role("button", name="Retry").click()
    expect(seen.page.locator(".dm-flag")).to_be_visible(timeout=20_000)
    expect(seen.page.locator(".dm-turn")).to_have_count(1)


def test_an_unsupported_sentence_and_a_refusal_can_be_told(seen: Seen) -> None:
    page = seen.page
    seen.asked("annual leave in Porto")
    expect(page.locator(".dm-unsure")).to_have_text("Most colleagues take the days around Easter.")
    page.locator(".dm-flag").hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    seen.asked("Who paints the bridge?")
    expect(page.locator(".dm-refusal")).to_contain_text("I could not find this")
    page.locator(".dm-turn:last-child .dm-card").first.click()
    expect(page.locator("#dm-source-title")).to_have_text("Printing")


def test_edit_takes_the_question_back_and_replaces_the_turn(seen: Seen) -> None:
    page = seen.page
    seen.asked("vpn 809")
    page.get_by_role("button", name="Edit question").click()
    expect(page.locator("#dm-question textarea")).to_have_value("vpn 809")
    expect(page.locator(".dm-editing")).to_be_visible()
    seen.ask("hotel in Munich")
    expect(page.locator(".dm-text")).to_contain_text("175 euros", timeout=20_000)
    expect(page.locator(".dm-turn")).to_have_count(1)
    expect(page.locator(".dm-editing")).to_be_hidden()


def test_hostile_text_stays_text(seen: Seen) -> None:
    page = seen.page
    seen.asked("hostile <b>question</b>")
    expect(page.locator(".dm-text")).to_contain_text("<script>window.pwned=3</script>")
    expect(page.locator(".dm-ask")).to_contain_text("<b>question</b>")
    page.locator(".dm-chip").click()
    expect(page.locator("#dm-source-text")).to_contain_text("<script>window.pwned = 1</script>")
    page.get_by_text("Show the whole document").click()
    expect(page.get_by_text("Show the whole document")).to_be_hidden()
    assert page.evaluate("window.pwned") is None
    assert page.locator("#dm-app :is(a:not(.dm-skip), img, script, iframe)").count() == 0


def test_hints_errors_and_endless_questions_do_not_stop_the_service(seen: Seen) -> None:
    page = seen.page
    seen.ask("   ")
    expect(page.locator(".dm-hint")).to_have_text("Type a question first.")
    expect(page.locator(".dm-welcome")).to_be_visible()
    seen.asked("x" * 100_000)
    expect(page.locator(".dm-error")).to_contain_text("100,000 characters")
    seen.asked("crash")
    expect(page.locator(".dm-error").last).to_contain_text("It was logged")
    seen.asked("vpn 809")
    expect(page.locator(".dm-turn:last-child .dm-text")).to_contain_text("Error 809")


def test_no_answer_is_lost_when_questions_follow_each_other_at_once(seen: Seen) -> None:
    for question in ("crash", "  ", "crash", "Who paints the bridge?", " ", "crash", "Who paints the bridge?"):
        seen.ask(question)
        if question.strip():
            expect(seen.page.locator(".dm-turn:last-child .dm-tools")).to_be_visible()
            assert seen.page.locator("body.dm-busy").count() == 0


def test_what_is_typed_while_an_answer_comes_stays(seen: Seen, desk: FakeDesk) -> None:
    page = seen.page
    with held(desk.may_write):
        seen.ask("lost phone steps")
        expect(page.locator(".dm-writing")).to_be_visible()
        page.fill("#dm-question textarea", "and my badge?")
        page.keyboard.press("Enter")
        expect(page.locator(".dm-hint")).to_contain_text("One question at a time")
    expect(page.locator(".dm-turn:last-child .dm-tools")).to_be_visible()
    expect(page.locator("#dm-question textarea")).to_have_value("and my badge?")
    expect(page.locator(".dm-turn")).to_have_count(1)


def test_the_mode_changes_what_is_asked(seen: Seen, desk: FakeDesk) -> None:
    page = seen.page
    expect(page.locator(".dm-mode-note")).to_contain_text("with sources")
    page.get_by_label("Model alone").check(force=True)
    expect(page.locator(".dm-mode-note")).to_contain_text("Reads no documents")
    seen.asked("What is a VPN?")
    expect(page.locator(".dm-note")).to_contain_text("No documents were read")
    assert desk.asked[-1][1] == "prompt-only"


def test_shift_enter_is_a_new_line_and_a_new_chat_is_empty(seen: Seen) -> None:
    page = seen.page
    page.focus("#dm-question textarea")
    page.keyboard.type("vpn")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("809")
    expect(page.locator("#dm-question textarea")).to_have_value("vpn\n809")
    page.keyboard.press("Enter")
    expect(page.locator(".dm-tools")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".dm-welcome")).to_be_visible()
    expect(page.locator(".dm-turn")).to_have_count(0)


def test_light_and_dark_follow_the_system_and_the_choice_lasts(browser: "sync_api.Browser", home: str) -> None:
    seen = open_page(browser, home, color_scheme="dark")
    page = seen.page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Switch between light and dark").click()
    light = page.evaluate(ground)
    page.reload()
    page.wait_for_selector("body.dm-ready")
    assert page.evaluate(ground) == light != dark
    page.context.close()


def test_a_phone_gets_a_drawer_and_no_sideways_scrolling(phone: Seen) -> None:
    page = phone.page
    page.locator(".dm-starter").first.click()
    expect(page.locator(".dm-tools")).to_be_visible(timeout=20_000)
    page.locator(".dm-text .dm-chip").nth(2).click()
    panel = page.locator("#dm-source")
    expect(panel).to_have_attribute("role", "dialog")
    expect(panel.locator("mark").first).to_be_in_viewport()
    for _ in range(8):  # Tab stays inside the drawer
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('#dm-source').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_two_tabs_are_two_conversations(browser: "sync_api.Browser", home: str) -> None:
    first, second = open_page(browser, home), open_page(browser, home)
    first.ask("lost phone steps")
    second.asked("vpn 809")
    expect(first.page.locator(".dm-tools")).to_be_visible(timeout=20_000)
    expect(first.page.locator(".dm-text")).to_contain_text("extension 4000")
    expect(first.page.locator(".dm-turn")).to_have_count(1)
    expect(second.page.locator(".dm-text")).to_contain_text("Error 809")
    first.page.context.close()
    second.page.context.close()


def test_a_lost_connection_is_said(
    browser: "sync_api.Browser", home: str, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "prefill_s", 120)
    seen = open_page(browser, home)
    page = seen.page
    seen.ask("lost phone steps")
    expect(page.locator(".dm-state")).to_contain_text("Searching")
    page.context.set_offline(True)
    page.evaluate("Date.now = ((now) => () => now() + 11000)(Date.now)")  # no need to sit through the silence
    expect(page.locator(".dm-note")).to_contain_text("connection to the help desk was lost")
    expect(page.locator("#dm-send")).to_be_visible()
    page.context.close()
