"""Kept conversations in a real browser: the journeys of an asker from signing in to talking with a person."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_kit import BROWSER, Seen, chromium, expect, look_at, open_page, served, sync_api, violations
from door_kit import PASSWORD, quick_hasher
from fake_desk import FakeDesk
from web_kit import web_app

from app.accounts.accounts import Accounts, Change
from app.accounts.sessions import Sessions
from app.database import Database, open_database
from app.people import Person, Role
from app.settings import load_settings
from app.staff.handovers import Handovers

pytestmark = BROWSER

EXAMPLES = ("I lost my phone. What are the steps?", "What does VPN error 809 mean?")
CHAT = {"title": "Brightwater help desk", "examples": EXAMPLES}


@dataclass
class Place:
    """A served desk with accounts."""

    home: str
    desk: FakeDesk
    database: Database
    folder: Path
    people: dict[str, Person]

    def token(self, name: str) -> str:
        """A session of somebody's, new, so that each test begins with its own page."""
        settings = load_settings(home=self.folder)
        with self.database.writing() as connection:
            number = int(self.people[name].id.removeprefix("user-"))
            return Sessions(self.database, settings.sign_in).begin(connection, number)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("home")
    database = open_database("", folder)
    people = {}
    with pytest.MonkeyPatch.context() as patch:
        quick_hasher(patch)
        accounts = Accounts(database)
        for name, role in (("anna", Role.ASKER), ("bram", Role.ASKER), ("dora", Role.DESK)):
            people[name] = accounts.add(name, "test", Change(password=PASSWORD, role=role)).person
        desk = FakeDesk(word_s=0.01, prefill_s=0.1)
        with served(web_app(desk, folder, database=database, chat=CHAT)) as home:
            yield Place(home, desk, database, folder, people)


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def anna(browser: "sync_api.Browser", place: Place) -> Iterator[Seen]:
    """Anna's page, with no conversation of an earlier test."""
    from app.chat.archive import Archive

    Archive(place.database, place.desk).erase(place.people["anna"])
    seen = open_page(browser, place.home, cookie=place.token("anna"))
    yield seen
    seen.check()


def load_again(seen: Seen) -> None:
    before = len(seen.complaints)
    seen.page.reload()
    seen.opened()
    # Gradio's client complains of a stream of its own that is cut off here.
    cut = ("AbortError", "Connection errored out")
    seen.complaints[before:] = [one for one in seen.complaints[before:] if not any(word in one for word in cut)]


def test_signing_in_asking_and_loading_again_shows_it_as_it_was(browser: "sync_api.Browser", place: Place) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    page = context.new_page()
    page.goto(place.home)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("body.dm-ready", timeout=60_000)
    seen = look_at(page, place.home)
    expect(page.locator(".dm-bar .dm-who")).to_contain_text("anna")
    seen.asked("What does VPN error 809 mean?")
    assert "?c=" in page.url
    before = page.locator(".dm-turn .dm-text").inner_text()
    load_again(seen)
    expect(page.locator(".dm-turn .dm-text")).to_have_text(before)
    page.locator(".dm-text .dm-chip").nth(1).click()
    mark = page.locator("#dm-source mark").first
    expect(mark).to_have_text("Switch to Brightwater-443. Nothing is wrong with your laptop.")
    expect(mark).to_be_in_viewport()
    seen.accessible()
    seen.asked("and my phone?")
    assert [turn["content"] for turn in place.desk.asked[-1][2]][:1] == ["What does VPN error 809 mean?"]
    page.locator(".dm-bar .dm-who button").click()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()
    seen.check()


def test_somebody_elses_address_shows_nothing(anna: Seen, browser: "sync_api.Browser", place: Place) -> None:
    anna.asked("What does VPN error 809 mean?")
    other = open_page(browser, anna.page.url, cookie=place.token("bram"))
    expect(other.page.locator(".dm-hint")).to_contain_text("There is no such conversation")
    expect(other.page.locator(".dm-welcome")).to_be_visible()
    assert "809" not in other.page.locator("#dm-transcript").inner_text().replace(EXAMPLES[1], "")
    assert "?c=" not in other.page.url
    other.page.context.close()


def test_conversations_are_found_renamed_taken_away_and_erased(anna: Seen) -> None:
    page = anna.page
    anna.asked("What does VPN error 809 mean?")
    page.locator(".dm-new").click()
    expect(page.locator(".dm-welcome")).to_be_visible()
    anna.asked("How much may a hotel in Munich cost?")
    items = page.locator(".dm-past-item")
    expect(items).to_have_count(2)
    page.get_by_label("Search your conversations").fill("port 4500")
    expect(items).to_have_count(1)
    items.get_by_role("link", name="What does VPN error 809 mean?").click()
    expect(page.locator(".dm-text")).to_contain_text("Error 809")
    page.go_back()
    expect(page.locator(".dm-text")).to_contain_text("175 euros")
    page.get_by_label("Search your conversations").fill("")
    expect(items).to_have_count(2)

    items.first.hover()
    page.get_by_label("More for “How much may a hotel in Munich cost?”").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("Munich")
    page.keyboard.press("Enter")
    expect(items.get_by_role("link", name="Munich", exact=True)).to_be_visible()
    anna.accessible()

    items.first.hover()
    page.get_by_label("More for “Munich”").click()
    with page.expect_download() as taken:
        page.get_by_role("link", name="Export as JSON").click()
    assert json.loads(Path(taken.value.path()).read_text())["title"] == "Munich"

    items.first.hover()
    page.get_by_label("More for “Munich”").click()
    page.get_by_role("button", name="Erase", exact=True).click()
    page.keyboard.press("Escape")
    expect(items).to_have_count(2)
    page.get_by_label("More for “Munich”").click()
    page.get_by_role("button", name="Erase", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(items).to_have_count(1)
    expect(page.locator(".dm-welcome")).to_be_visible()
    page.get_by_role("button", name="Erase all…").click()
    anna.accessible()
    page.get_by_role("dialog").get_by_role("button", name="Erase all").click()
    expect(items).to_have_count(0)
    load_again(anna)
    expect(page.get_by_text("Your conversations will be here.")).to_be_visible()


def test_a_thumb_down_asks_why_and_is_there_after_loading_again(anna: Seen) -> None:
    page = anna.page
    anna.asked("What does VPN error 809 mean?")
    page.get_by_label("Bad answer").click()
    page.get_by_label("It is outdated").check(force=True)
    page.get_by_label("What would have been right?").fill("Use Brightwater-444.")
    anna.accessible()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".dm-thanks")).to_contain_text("it is outdated")
    anna.accessible()
    load_again(anna)
    expect(page.get_by_label("Bad answer")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("What would have been right?")).to_have_value("Use Brightwater-444.")
    page.get_by_label("Good answer").click()
    expect(page.get_by_label("Good answer")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Bad answer")).to_have_attribute("aria-pressed", "false")
    page.get_by_label("Good answer").click()
    expect(page.get_by_label("Good answer")).to_have_attribute("aria-pressed", "false")


def test_a_person_takes_over_answers_and_gives_the_word_back(anna: Seen, place: Place) -> None:
    page, dora, people = anna.page, place.people["dora"], Handovers(place.database)
    anna.asked("Who paints the bridge?")
    page.locator(".dm-refusal").get_by_role("button", name="Talk to a person").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Who paints the bridge?")
    dialog.get_by_role("textbox").fill("It is about the blue one.")
    dialog.get_by_role("button", name="Hand over").click()
    expect(page.locator(".dm-stand")).to_contain_text("Waiting for a person")
    asked = len(place.desk.asked)
    anna.ask("Hello? <b>Anybody</b>?")
    expect(page.locator(".dm-said .dm-ask")).to_have_text("Hello? <b>Anybody</b>?")
    (one,) = people.open()
    people.take(one.id, dora)
    people.reply(one.id, dora, "Painter Piet does.\nShall I ask him?")
    expect(page.locator(".dm-colleague")).to_contain_text("Painter Piet does.")
    expect(page.locator(".dm-stand")).to_contain_text("You are talking to dora")
    load_again(anna)
    expect(page.locator(".dm-colleague")).to_contain_text("Shall I ask him?")
    expect(page.locator(".dm-said .dm-ask")).to_be_visible()
    anna.ask("Yes, please.")
    expect(page.locator(".dm-said .dm-ask")).to_have_count(2)
    people.finish(one.id, dora)
    expect(page.locator(".dm-over")).to_contain_text("The assistant answers again.")
    expect(page.locator(".dm-stand")).to_be_hidden()
    assert len(place.desk.asked) == asked, "it was silent"
    anna.asked("vpn 809")
    expect(page.locator(".dm-turn:last-child .dm-text")).to_contain_text("Error 809")


def test_everything_by_keyboard(anna: Seen) -> None:
    page = anna.page
    page.keyboard.type("What does VPN error 809 mean?")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Bad answer")).to_be_visible()
    expect(page.locator(".dm-past-item")).to_have_count(1)
    page.get_by_label("Bad answer").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".dm-why input").first).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.get_by_label("What would have been right?")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".dm-thanks")).to_contain_text("it is wrong")
    expect(page.get_by_label("Bad answer")).to_be_focused()

    toggle = page.locator('#dm-top [data-do="past"]')
    toggle.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dm-past-panel")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Search your conversations")).to_be_focused()
    anna.accessible()
    page.keyboard.press("Tab")
    expect(page.locator(".dm-past-item > a").first).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Rename")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Rename")).to_be_hidden()
    expect(page.locator(".dm-past-item summary").first).to_be_focused()

    page.get_by_role("button", name="Talk to a person").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dm-hand textarea")).to_be_focused()
    anna.accessible()
    page.keyboard.press("Escape")
    expect(page.locator("#dm-hand")).to_be_hidden()
    expect(page.get_by_role("button", name="Talk to a person")).to_be_focused()


def test_a_phone_gets_a_sheet_and_big_enough_targets(browser: "sync_api.Browser", place: Place) -> None:
    seen = open_page(browser, place.home, width=390, cookie=place.token("bram"), has_touch=True, is_mobile=True)
    page = seen.page
    seen.asked("What does VPN error 809 mean?")
    expect(page.locator("#dm-past-panel")).to_be_hidden()
    page.locator('#dm-top [data-do="past"]').tap()
    expect(page.locator(".dm-past-item")).to_have_count(1)
    assert page.evaluate("document.querySelector('#dm-composer').inert"), "Tab stays out of what the sheet covers"
    seen.accessible()
    page.locator(".dm-past-item > a").tap()
    expect(page.locator("#dm-past-panel")).to_be_hidden()
    expect(page.locator(".dm-text")).to_contain_text("Error 809")
    page.get_by_label("Bad answer").tap()
    expect(page.locator(".dm-why")).to_be_visible()
    seen.accessible()
    small = page.evaluate(
        "[...document.querySelectorAll('#dm-app button, #dm-app a')].filter((e) => e.checkVisibility()"
        " && !e.closest('p, .dm-text, .dm-skip') && e.getBoundingClientRect().height < 44"
        " && getComputedStyle(e).position !== 'absolute').map((e) => e.outerHTML.slice(0, 90))"
    )
    assert small == []
    seen.check()


def test_a_server_that_starts_again_in_the_middle_costs_nothing_that_was_kept(
    browser: "sync_api.Browser", tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    desk = FakeDesk(0.01, 0.1)
    with served(web_app(desk, tmp_path, chat=CHAT), port) as home:
        seen = open_page(browser, home)
        page = seen.page
        seen.asked("What does VPN error 809 mean?")
        desk.may_write.clear()
        seen.ask("I lost my phone. What are the steps?")
        expect(page.locator(".dm-writing")).to_be_visible()
        page.context.set_offline(True)  # as for a server that was killed
    desk.may_write.set()
    with served(web_app(FakeDesk(0.01, 0.1), tmp_path, chat=CHAT), port):
        page.evaluate("Date.now = ((now) => () => now() + 11000)(Date.now)")  # no need to sit through the silence
        expect(page.locator(".dm-note").last).to_contain_text("connects again")
        page.context.set_offline(False)
        expect(page.locator("#dm-question textarea")).to_have_value("I lost my phone. What are the steps?")
        expect(page.locator(".dm-turn")).to_have_count(1)
        expect(page.locator(".dm-turn .dm-text")).to_contain_text("Error 809")
        seen.accessible()
        page.keyboard.press("Enter")
        page.focus("#dm-question textarea")
        page.keyboard.press("Enter")
        expect(page.locator(".dm-turn:last-child .dm-tools")).to_be_visible(timeout=30_000)
        page.context.close()


def test_a_page_that_slept_through_a_restart_just_goes_on(browser: "sync_api.Browser", tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with served(web_app(FakeDesk(0.01, 0.1), tmp_path, chat=CHAT), port) as home:
        seen = open_page(browser, home)
        seen.asked("What does VPN error 809 mean?")
    with served(web_app(FakeDesk(0.01, 0.1), tmp_path, chat=CHAT), port):
        seen.asked("I lost my phone. What are the steps?")
        expect(seen.page.locator(".dm-turn:last-child .dm-text")).to_contain_text("extension 4000")
        expect(seen.page.locator(".dm-turn")).to_have_count(2)
        seen.page.context.close()


def test_a_session_that_is_over_asks_to_sign_in_and_loses_no_question(
    browser: "sync_api.Browser", place: Place
) -> None:
    seen = open_page(browser, place.home, cookie=place.token("bram"))
    page = seen.page
    seen.asked("What does VPN error 809 mean?")
    address = page.url
    settings = load_settings(home=place.folder)
    cookie = next(one for one in page.context.cookies() if one["name"] == "deskmate")
    with place.database.writing() as connection:
        Sessions(place.database, settings.sign_in).end(connection, cookie["value"])
    seen.ask("I lost my phone. What are the steps?")
    expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=30_000)
    page.get_by_label("Name").fill("bram")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    seen.opened()
    assert page.url == address
    expect(page.locator("#dm-question textarea")).to_have_value("I lost my phone. What are the steps?")
    expect(page.locator(".dm-turn")).to_have_count(1)
    seen.accessible()
    assert seen.foreign == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(browser: "sync_api.Browser", place: Place, scheme: str, width: int) -> None:
    seen = open_page(browser, place.home, width=width, cookie=place.token("dora"), color_scheme=scheme)
    page = seen.page
    page.add_style_tag(content="*, ::before, ::after { animation: none !important; transition: none !important }")
    assert violations(page) == []
    seen.asked("annual leave in Porto")
    page.locator(".dm-search summary").click()
    page.get_by_label("Bad answer").click()
    expect(page.locator(".dm-why")).to_be_visible()
    assert violations(page) == []
    page.locator(".dm-text .dm-chip").first.click()
    expect(page.locator("#dm-source")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    if width == 390:
        page.locator('#dm-top [data-do="past"]').click()
    page.locator(".dm-past-item summary").first.click(force=True)
    assert violations(page) == []
    page.keyboard.press("Escape")
    if width == 390:
        page.locator('#dm-past-panel [data-do="past"]').click()
    page.locator(".dm-to-person").click()
    expect(page.locator("#dm-hand")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Hand over").click()
    expect(page.locator(".dm-stand")).to_be_visible()
    assert violations(page) == []
    seen.check()
