"""The help desk's pages in a real browser: wide and narrow, light and dark, and what their small script adds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_kit import BROWSER, chromium, expect, look_at, served, sync_api, violations
from fastapi import FastAPI
from queue_kit import ANNA, BEN, DORA, Floor, make_floor
from staff_kit import As
from starlette.staticfiles import StaticFiles

from app.server import STATIC
from app.staff.routes import mount_staff

pytestmark = BROWSER

QUESTION = "When does the VPN session end?"


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def floor(request: pytest.FixtureRequest, tmp_path: Path) -> Floor:
    floor = make_floor(request, tmp_path)
    _, exchange = floor.ask(BEN, QUESTION)
    floor.judge(BEN, exchange, "wrong", "It ends after 10 hours.")
    conversation, _ = floor.ask(BEN, "Who waters the plants?")
    floor.staff.handovers.begin(conversation, BEN, "Please help, call +31 10 555 0142")
    _, hidden = floor.ask(ANNA, "When is the bonus of the managers paid?")
    floor.judge(ANNA, hidden, "outdated")
    return floor


@pytest.fixture
def home(floor: Floor) -> Iterator[str]:
    app = FastAPI()
    app.mount("/desk", StaticFiles(directory=STATIC))
    mount_staff(app, floor.staff)
    with served(As(app, DORA)) as address:  # type: ignore[arg-type]  # an application around one
        yield address.rstrip("/")


PAGES = (
    "/staff/queue",
    "/staff/queue/handover/1",
    "/staff/queue/answer/1",
    "/staff/queue/answer/2",
    "/staff/corrections",
    "/staff/corrections/new?judgement=1",
    "/staff/gaps",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_accessible_and_fits(browser: "sync_api.Browser", home: str, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    seen = look_at(context.new_page(), home)
    for page in PAGES:
        seen.page.goto(home + page)
        expect(seen.page.locator("h1")).to_be_visible()
        assert violations(seen.page) == [], page
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
    seen.check()


def test_a_hand_over_by_keyboard_and_without_a_script(browser: "sync_api.Browser", home: str, floor: Floor) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(home + "/staff/queue")
    page.get_by_role("link", name="Please help").press("Enter")
    page.get_by_role("button", name="Take it").press("Enter")
    page.get_by_label("Your answer").fill("I am on my way.")
    page.get_by_role("button", name="Send", exact=True).press("Enter")
    expect(page.get_by_role("log")).to_contain_text("I am on my way.")
    page.get_by_role("button", name="Close it").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The assistant answers there again")
    assert floor.staff.handovers.open() == []
    context.close()


def test_the_right_answer_is_written_with_citations_from_the_list(
    browser: "sync_api.Browser", home: str, floor: Floor
) -> None:
    context = browser.new_context()
    seen = look_at(context.new_page(), home)
    page = seen.page
    page.goto(home + "/staff/queue/answer/1")
    page.get_by_role("link", name="Write the right answer").click()
    answer = page.get_by_label("The right answer")
    expect(answer).to_have_value("It ends after 10 hours.")
    answer.fill("It ends after 10 hours")
    page.get_by_role("listitem").filter(has_text="The VPN session ends").get_by_role("button").click()
    expect(answer).to_be_focused()
    page.keyboard.type(".")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Your answer is given from now on")
    assert floor.desk.answer(QUESTION).answer == "It ends after 10 hours [1]."
    seen.check()


def test_counts_and_messages_come_by_themselves(browser: "sync_api.Browser", home: str, floor: Floor) -> None:
    context = browser.new_context()
    seen = look_at(context.new_page(), home)
    page = seen.page
    floor.staff.handovers.take(1, DORA)
    page.goto(home + "/staff/queue/handover/1")
    expect(page).to_have_title("(2) Please help, call <phone> · Help desk")
    page.get_by_label("Your answer").fill("half a sen")
    [one] = floor.staff.handovers.open()
    floor.staff.handovers.say(one.conversation, BEN, "Are you there?")
    _, exchange = floor.ask(BEN, "When are print jobs deleted?")
    floor.judge(BEN, exchange)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("log")).to_contain_text("Are you there?")
    expect(page).to_have_title("(3) Please help, call <phone> · Help desk")
    expect(page.get_by_label("Your answer")).to_have_value("half a sen")
    seen.check()
