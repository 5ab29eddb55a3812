"""Journeys that two people take together, each in a browser of their own, on one server: an asker and the help desk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_kit import BROWSER, Seen, chromium, expect, look_at, open_page, served, sync_api
from door_kit import PASSWORD, quick_hasher
from queue_kit import Floor, make_floor

from app.accounts.accounts import Accounts, Change
from app.accounts.sessions import Sessions
from app.loop.correction_rows import included_rows
from app.people import Person, Role
from app.server import create_app

pytestmark = BROWSER

QUESTION = "When does the VPN session end?"
SHAPES = {"a desk": (1280, "light"), "a phone": (390, "dark")}


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as browser:
        yield browser


@dataclass
class Place:
    """A served help desk with accounts, and one way of looking at it."""

    browser: "sync_api.Browser"
    home: str
    floor: Floor
    people: dict[str, Person]
    width: int
    scheme: str

    def chat(self, name: str) -> Seen:
        """The chat of somebody who has signed in."""
        cookie = self._token(name)
        return open_page(self.browser, self.home, self.width, cookie, color_scheme=self.scheme, reduced_motion="reduce")

    def staff(self, name: str, path: str) -> Seen:
        """A page of somebody who works there."""
        context = self.browser.new_context(
            viewport={"width": self.width, "height": 844}, color_scheme=self.scheme, reduced_motion="reduce"
        )
        context.add_cookies([{"name": "deskmate", "value": self._token(name), "url": self.home}])
        seen = look_at(context.new_page(), self.home)
        seen.page.goto(f"{self.home}staff/{path}")
        return seen

    def _token(self, name: str) -> str:
        database = self.floor.desk.database
        with database.writing() as connection:
            number = int(self.people[name].id.removeprefix("user-"))
            return Sessions(database, self.floor.desk.settings.sign_in).begin(connection, number)


@pytest.fixture(params=SHAPES)
def place(
    request: pytest.FixtureRequest, browser: "sync_api.Browser", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    quick_hasher(monkeypatch)
    floor = make_floor(request, tmp_path)
    desk, staff = floor.desk, floor.staff
    accounts = Accounts(desk.database)
    people = {
        name: accounts.add(name, "test", Change(password=PASSWORD, role=role)).person
        for name, role in (("ben", Role.ASKER), ("dora", Role.DESK), ("hugo", Role.DESK))
    }
    app = create_app(desk, desk.database, desk.settings, handovers=staff.handovers, staff=staff)
    with served(app) as home:
        yield Place(browser, home, floor, people, *SHAPES[request.param])


def anew(seen: Seen, question: str) -> None:
    """Ask in a new conversation."""
    if seen.page.locator(".dm-turn").count():
        seen.page.get_by_role("button", name="New chat").locator("visible=true").first.click()
        expect(seen.page.locator(".dm-turn")).to_have_count(0)
    seen.asked(question)


def test_a_person_of_the_help_desk_takes_over_a_conversation_and_gives_it_back(place: Place) -> None:
    ben = place.chat("ben")
    ben.asked(QUESTION)
    ben.page.locator(".dm-to-person").click()
    dialog = ben.page.get_by_role("dialog")
    expect(dialog).to_contain_text(QUESTION)
    dialog.get_by_role("textbox").fill("I am abroad, call +31 10 555 0142.")
    ben.accessible()
    dialog.get_by_role("button", name="Hand over").click()
    expect(ben.page.locator(".dm-stand")).to_contain_text("Waiting for a person")

    dora = place.staff("dora", "queue")
    dora.page.get_by_role("link", name="I am abroad, call <phone>.").click()
    expect(dora.page.get_by_role("region", name="Conversation")).to_contain_text("after 10 hours")
    dora.accessible()
    dora.page.get_by_role("button", name="Take it").click()
    expect(ben.page.locator(".dm-stand")).to_contain_text("You are talking to dora")
    dora.page.get_by_label("Your answer").fill("Abroad it is the same.\nWhere are you?")
    dora.page.get_by_role("button", name="Send", exact=True).click()
    expect(ben.page.locator(".dm-colleague")).to_contain_text("Where are you?")
    ben.ask("In <b>Porto</b>.")
    expect(dora.page.get_by_role("log")).to_contain_text("In <b>Porto</b>.")
    dora.accessible()
    ben.accessible()
    dora.page.get_by_label("Your answer").fill("Then all is well.")
    dora.page.get_by_role("button", name="Send and close").click()
    expect(dora.page.get_by_role("status")).to_contain_text("The assistant answers there again")
    expect(ben.page.locator(".dm-over")).to_contain_text("The assistant answers again.")
    ben.asked("When are print jobs deleted?")
    expect(ben.page.locator(".dm-turn:last-child .dm-text")).to_contain_text("12 hours")
    dora.check()
    ben.check()


def test_a_wrong_answer_is_put_right_reviewed_and_becomes_a_training_row(place: Place) -> None:
    ben = place.chat("ben")
    ben.asked(QUESTION)
    ben.page.get_by_label("Bad answer").click()
    ben.page.get_by_label("It is wrong").check(force=True)
    ben.page.get_by_label("What would have been right?").fill("After 10 hours, and you connect again.")
    ben.accessible()
    ben.page.get_by_role("button", name="Send", exact=True).click()
    expect(ben.page.locator(".dm-thanks")).to_contain_text("it is wrong")

    dora = place.staff("dora", "queue")
    page = dora.page
    page.get_by_role("link", name=QUESTION).click()
    expect(page.get_by_role("main")).to_contain_text("After 10 hours, and you connect again.")
    dora.accessible()
    page.get_by_role("link", name="Write the right answer").click()
    page.get_by_label("The right answer").fill("The VPN session ends after 10 hours. Connect again in Lockgate.")
    page.get_by_role("button", name="Find the citations").click()
    answer = page.get_by_label("The right answer")
    expect(answer).to_have_value("The VPN session ends after 10 hours [1]. Connect again in Lockgate [1].")
    expect(page.get_by_role("status")).to_contain_text("in the house form")
    dora.accessible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Your answer is given from now on")
    expect(page.get_by_role("button", name="It is right")).to_have_count(0)
    page.goto(f"{place.home}staff/queue")
    expect(page.get_by_role("link", name=QUESTION)).to_have_count(0)

    anew(ben, "when does the vpn session end")
    expect(ben.page.locator(".dm-turn:last-child")).to_contain_text("Checked by the help desk")
    expect(ben.page.locator(".dm-turn:last-child .dm-text")).to_contain_text("Connect again in Lockgate")
    ben.page.locator(".dm-text .dm-chip").last.click()
    expect(ben.page.locator("#dm-source mark").first).to_have_text("Connect again in the client Lockgate.")
    ben.accessible()

    hugo = place.staff("hugo", "corrections?show=review")
    hugo.page.get_by_role("link", name=QUESTION).click()
    hugo.page.get_by_role("button", name="It is right").click()
    expect(hugo.page.get_by_text("training row", exact=True)).to_be_visible()
    hugo.accessible()
    [row] = included_rows(place.floor.staff.corrections)
    assert row["answer"] == "The VPN session ends after 10 hours. Connect again in Lockgate."
    for seen in (ben, dora, hugo):
        seen.check()


def test_what_could_not_be_answered_is_seen_and_answered_for_all(place: Place) -> None:
    ben = place.chat("ben")
    for question in ("Who waters the plants?", "Who waters the plants, please?"):
        anew(ben, question)
        ben.page.get_by_label("Bad answer").click()
        ben.page.get_by_label("It did not find").check(force=True)
        ben.page.get_by_role("button", name="Send", exact=True).click()
        expect(ben.page.locator(".dm-thanks")).to_be_visible()

    dora = place.staff("dora", "gaps")
    page = dora.page
    gap = page.locator(".ds-gap")
    expect(gap).to_have_count(1)
    expect(gap).to_contain_text("2 questions")
    page.get_by_text("How else it was asked").click()
    dora.accessible()
    page.get_by_role("link", name="Write the answer").click()
    page.get_by_label("The right answer").fill("Rosa of the reception does.")
    page.get_by_label("no document, and is for these groups:").check()
    page.get_by_label("Everyone").check()
    dora.accessible()
    page.get_by_role("button", name="Save").click()
    if page.get_by_role("alert").count():  # broken rules of the house form are said once
        page.get_by_role("button", name="Save it as it is").click()
    expect(page.get_by_role("status")).to_contain_text("Your answer is given from now on")
    page.goto(f"{place.home}staff/gaps")
    expect(page.get_by_text("answered by the help desk")).to_be_visible()

    anew(ben, page.locator(".ds-gap h2").inner_text())
    expect(ben.page.locator(".dm-turn:last-child .dm-text")).to_contain_text("Rosa of the reception does.")
    ben.accessible()
    dora.check()
    ben.check()
