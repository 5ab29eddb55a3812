"""Pages in a real browser, Debian's Chromium by Playwright: what the browser tests share."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

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

BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium; apt-get install chromium"),
]
"""The marks of a module whose tests open pages."""

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

    def opened(self) -> None:
        """Wait for the page to be ready."""
        self.page.wait_for_selector("body.dm-ready", timeout=60_000)

    def accessible(self) -> None:
        """Fail where axe finds a violation of level A or AA, or the page scrolls sideways."""
        self.page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
        assert violations(self.page) == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def check(self) -> None:
        """Close the page; fail where it asked another host or the browser complained."""
        self.page.context.close()
        assert self.foreign == [], "the page asked another host"
        assert self.complaints == [], "the browser complained"


@contextmanager
def held(gate: threading.Event) -> Iterator[None]:
    """While it lasts, an answer stops at the gate, so that the browser has time to look."""
    gate.clear()
    try:
        yield
    finally:
        gate.set()


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve an application on this machine while it lasts; gives its address."""
    import uvicorn

    from app.server import claim_port

    with claim_port("127.0.0.1", port) as claimed:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [claimed]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{claimed.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@contextmanager
def chromium() -> Iterator["sync_api.Browser"]:
    """A browser while it lasts."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser: "sync_api.Browser", home: str, width: int = 1280, cookie: str = "", **more: Any) -> Seen:
    """Open the chat in a browser of its own; `cookie` is a session's token."""
    context = browser.new_context(viewport={"width": width, "height": 844}, **more)
    if cookie:
        context.add_cookies([{"name": "deskmate", "value": cookie, "url": home}])
    seen = look_at(context.new_page(), home)
    seen.page.goto(home)
    seen.opened()
    return seen


def look_at(page: "sync_api.Page", home: str) -> Seen:
    """Note what a page asks for and complains about."""
    seen = Seen(page, home)
    page.on("request", lambda r: None if r.url.startswith((home, "data:", "blob:")) else seen.foreign.append(r.url))
    page.on("console", lambda m: seen.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("response", lambda r: seen.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    return seen


def violations(page: "sync_api.Page") -> list[str]:
    """What axe finds against WCAG's levels A and AA, a line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe; pip install -e '.[dev]'").Axe()
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = axe.run(page, options={"runOnly": {"type": "tag", "values": tags}}).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]
