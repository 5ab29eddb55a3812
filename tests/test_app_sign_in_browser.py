"""Signing in with a real browser: by keyboard, without a script, and after a session has ended; axe looks on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_kit import BROWSER, chromium, expect, served, sync_api
from door_kit import PASSWORD, add
from fake_desk import FakeDesk
from fastapi import FastAPI
from web_kit import web_app

from app.accounts.accounts import Accounts, Change
from app.database import Database, open_database

pytestmark = BROWSER


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database("", tmp_path)
    add(database, shown="Anna Berg")
    yield database
    database.close()


@pytest.fixture
def app(database: Database, tmp_path: Path) -> FastAPI:
    oidc = {"issuer": "https://id.example", "client_id": "deskmate"}
    return web_app(FakeDesk(0, 0), tmp_path, database=database, oidc=oidc)


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as browser:
        yield browser


def type_in(page: "sync_api.Page", password: str) -> None:
    """Fill in the form by keyboard alone."""
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Anna")
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_in_by_keyboard_and_out_again_and_back_where_a_session_ended(
    browser: "sync_api.Browser", app: FastAPI, database: Database
) -> None:
    with served(app) as address:
        home = address.rstrip("/")
        page = browser.new_context(viewport={"width": 1280, "height": 844}).new_page()
        page.goto(f"{home}/?x=1")
        type_in(page, "wrong")
        expect(page.get_by_role("alert")).to_have_text("This name and password do not go together.")
        expect(page.get_by_label("Password")).to_be_focused()
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_label("Password")).to_have_attribute("type", "text")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("body.dm-ready", timeout=60_000)
        assert page.url == f"{home}/?x=1"

        Accounts(database).change("anna", "test", Change(password="another long one"))
        page.fill("#dm-question textarea", "vpn")
        page.keyboard.press("Enter")
        expect(page.get_by_text("You have been signed out.")).to_be_visible()
        page.get_by_role("link", name="Sign in again").click()
        type_in(page, "another long one")
        page.wait_for_selector("body.dm-ready", timeout=60_000)
        assert page.url.startswith(f"{home}/?")

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("You are signed out.")
        page.go_back()
        expect(page.get_by_label("Password")).to_be_visible()
        page.context.close()


def test_no_script_is_needed(browser: "sync_api.Browser", app: FastAPI) -> None:
    with served(app) as address:
        home = address.rstrip("/")
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{home}/healthz")
        page.goto(f"{home}/sign-in?next=/robots.txt")
        expect(page.get_by_role("button", name="Show")).to_have_count(0)
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{home}/robots.txt")
        assert "deskmate" in {cookie["name"] for cookie in context.cookies()}
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_keeps_the_rules_for_everybodys_access(browser: "sync_api.Browser", app: FastAPI, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe; pip install -e '.[dev]'").Axe()
    with served(app) as address:
        home = address.rstrip("/")
        page = browser.new_context(color_scheme=scheme, bypass_csp=True).new_page()
        for address in ("/sign-in", "/sign-in?out=1", "/sign-in/company/done"):
            page.goto(home + address)
            found = axe.run(page).response["violations"]
            assert [one["id"] for one in found] == []
        page.goto(f"{home}/sign-in")
        type_in(page, "wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        assert [one["id"] for one in axe.run(page).response["violations"]] == []
        page.context.close()
