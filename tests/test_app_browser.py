"""The chat in a real browser: Debian's Chromium by Playwright, with a desk that needs no model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_kit import BROWSER, Seen, chromium, expect, held, open_page, served, sync_api
from fake_desk import FakeDesk
from web_kit import web_app

from app.answering.modes import Mode

EXAMPLES = ["I lost my phone. What are the steps?", "What does VPN error 809 mean?"]

pytestmark = BROWSER


@pytest.fixture(scope="module")
def desk() -> FakeDesk:
    return FakeDesk(word_s=0.03, prefill_s=0.3)


@pytest.fixture(scope="module")
def home(desk: FakeDesk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chat = {"title": "Brightwater help desk", "examples": EXAMPLES}
    with served(web_app(desk, tmp_path_factory.mktemp("home"), chat=chat)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def seen(browser: "sync_api.Browser", home: str) -> Iterator[Seen]:
    seen = open_page(browser, home)
    yield seen
    seen.check()


@pytest.fixture
def phone(browser: "sync_api.Browser", home: str) -> Iterator[Seen]:
    seen = open_page(browser, home, width=390)
    yield seen
    seen.check()


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
    page.locator(".dm-search summary").click()
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
    assert page.locator("#dm-app :is(#dm-transcript a, #dm-side a, img, script, iframe)").count() == 0


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
    page.get_by_label("Model", exact=True).check(force=True)
    expect(page.locator(".dm-mode-note")).to_contain_text("Reads no documents")
    seen.asked("What is a VPN?")
    expect(page.locator(".dm-note")).to_contain_text("No documents were read")
    assert desk.asked[-1][1] == "prompt-only"


def test_the_modes_stay_on_one_line_and_the_chosen_one_in_sight(browser: "sync_api.Browser", tmp_path: Path) -> None:
    desk = FakeDesk(0, 0)
    desk.now = (Mode.HYBRID, Mode.RAG_ONLY, Mode.TUNE_ONLY, Mode.PROMPT_ONLY)
    with served(web_app(desk, tmp_path)) as home:
        for width in (1280, 390, 320):
            seen = open_page(browser, home, width)
            page, labels = seen.page, seen.page.locator("#dm-mode label")
            seen.asked("What does VPN error 809 mean?")
            if width == 1280:
                page.locator(".dm-text .dm-chip").first.click()  # the source stands beside it
            expect(labels).to_have_count(4)
            assert len({box["y"] for box in (label.bounding_box() for label in labels.all())}) == 1
            page.get_by_label("Model", exact=True).focus()
            page.keyboard.press("Space")
            expect(labels.last).to_be_in_viewport(ratio=0.95)
            assert page.evaluate("document.querySelector('#dm-mode').scrollTop") == 0
            seen.accessible()
            seen.check()


def test_shift_enter_is_a_new_line_and_a_new_chat_is_empty(seen: Seen) -> None:
    page = seen.page
    page.focus("#dm-question textarea")
    page.keyboard.type("vpn")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("809")
    expect(page.locator("#dm-question textarea")).to_have_value("vpn\n809")
    page.keyboard.press("Enter")
    expect(page.locator(".dm-tools")).to_be_visible(timeout=20_000)
    page.locator(".dm-past .dm-new").click()
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
    page.locator(".dm-search summary").click()
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
