"""A whole rating session in a real browser: name, keys, sources, undo, coming back, the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_kit import BROWSER, chromium, expect, served
from fake_desk import FakeDesk
from rated import MODES, evaluation
from web_kit import web_app

from app.ratings.store import Ratings

pytestmark = BROWSER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return evaluation(tmp_path / "reports", "autumn run", questions=4)


@pytest.fixture
def home(folder: Path) -> Iterator[str]:
    with served(web_app(FakeDesk(), folder.parent.parent, reports=folder.parent)) as address:
        yield address


def test_a_rating_session_by_keyboard(home: str, folder: Path) -> None:
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 844})
        foreign: list[str] = []
        complaints: list[str] = []
        context.on("request", lambda r: None if r.url.startswith(home) else foreign.append(r.url))
        context.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        pages: list[str] = []
        page = context.new_page()

        page.goto(home + "rate")
        page.get_by_role("link", name="autumn run").click()
        page.get_by_label("Your name or initials").fill("Ann")
        page.keyboard.press("Enter")

        expect(page.get_by_label("0 of 4 rated")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways"
        pages.append(page.content())
        first = page.get_by_role("heading", level=1).inner_text()
        page.keyboard.press("1")
        expect(page.get_by_role("group", name="Tone").get_by_label("A is better")).to_be_checked()
        expect(page.get_by_role("status")).to_have_text("Tone: A is better")
        page.keyboard.press("Enter")  # correctness is missing: the page stays
        page.keyboard.press("3")
        page.keyboard.press("Backspace")
        page.keyboard.press("2")
        expect(page.get_by_role("group", name="Correctness").get_by_label("About the same")).to_be_checked()
        page.keyboard.press("Enter")
        expect(page.get_by_label("1 of 4 rated")).to_be_visible()
        pages.append(page.content())

        quote = page.get_by_role("region", name="Answer B").get_by_text("You carry over up to 5 days.")
        expect(quote).to_be_hidden()
        page.get_by_role("link", name="Source 1 of Answer B").click()
        expect(quote).to_be_visible()

        page.keyboard.press("Backspace")  # nothing is chosen here: the last pair comes back
        expect(page.get_by_label("0 of 4 rated")).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_have_text(first)
        assert Ratings(folder).standing() == []

        for number in range(2):
            for key in ("3", "3", "Enter"):
                page.keyboard.press(key)
            expect(page.get_by_label(f"{number + 1} of 4 rated")).to_be_visible()
        page.close()
        page = context.new_page()  # another day
        page.goto(home + "rate/autumn run")
        expect(page.get_by_label("2 of 4 rated")).to_be_visible()
        for number in (3, 4):
            pages.append(page.content())
            page.get_by_role("group", name="Tone").get_by_label("B is better").check()
            page.get_by_role("group", name="Correctness").get_by_label("About the same").check()
            page.get_by_role("button", name="Save and next").click()
            done = page.get_by_label("3 of 4 rated") if number == 3 else page.get_by_text("You have rated all 4 pairs.")
            expect(done).to_be_visible()
        browser.close()

    assert (foreign, complaints) == ([], [])
    assert len(pages) == 4
    assert not [mode for mode in (*MODES, "rag") for text in pages if mode in text], "a page told the mode"
    assert [(one.tone, one.correctness) for one in Ratings(folder).of("ann")] == [("right", "right")] * 2 + [
        ("right", "tie")
    ] * 2
