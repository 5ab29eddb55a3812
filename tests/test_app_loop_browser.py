"""Documents, adapters, comparison and health in a real browser: files that are dropped, work that is watched."""

from collections.abc import Iterator

import pytest
from adapters import bare
from browser_kit import BROWSER, Seen, chromium, expect, look_at, served, sync_api, violations
from office import POLICIES, Office
from staff_kit import echo_desk

from app.desk import Desk
from app.server import create_app
from app.staff.workplace import workplace

pytestmark = BROWSER

DROP = """([names, texts]) => {
    const data = new DataTransfer();
    names.forEach((name, at) => data.items.add(new File([texts[at]], name)));
    const place = document.querySelector(".dl-drop");
    for (const kind of ["dragenter", "dragover", "drop"]) {
        place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""

PAGES = ("documents", "document?doc=it/vpn.md", "jobs", "adapters", "health", "compare")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose jobs are real commands, with fakes in the place of models."""
    settings = {"HOME": str(office.workspace.root), "RETRIEVAL__EMBEDDER": "hashing", "CHAT__BACKEND": "echo"}
    for name, value in settings.items():
        monkeypatch.setenv(f"DESKMATE_{name}", value)
    office.write(POLICIES)
    office.ingest()
    return echo_desk(office.workspace)


@pytest.fixture
def home(desk: Desk) -> Iterator[str]:
    """The whole application; whoever opens it on this machine is an administrator."""
    staff = workplace(desk)
    app = create_app(desk, desk.database, desk.settings, handovers=staff.handovers, staff=staff)
    with served(app) as address:
        yield address


def visit(browser: "sync_api.Browser", home: str, path: str, width: int = 1280, **more: object) -> Seen:
    seen = look_at(browser.new_context(viewport={"width": width, "height": 844}, **more).new_page(), home)
    seen.page.goto(f"{home}staff/{path}")
    return seen


def test_dropped_files_are_ingested_while_somebody_watches(browser: "sync_api.Browser", home: str, desk: Desk) -> None:
    seen = visit(browser, home, "documents")
    page = seen.page
    page.evaluate(DROP, [["bikes.md", "tool.exe"], ["# Bike leasing\n\nLease a bike after six months.\n", "x"]])
    expect(page.get_by_text("uploaded", exact=True)).to_be_visible()
    expect(page.locator(".dl-refused")).to_contain_text("tool.exe: .exe is not read")
    seen.accessible()
    page.get_by_role("button", name="Take in the others").click()
    expect(page.get_by_role("heading", name="Taking in uploaded documents")).to_be_visible()
    expect(page.get_by_role("link", name="uploaded/everyone/bikes.md")).to_be_visible(timeout=60_000)
    expect(page.locator(".dl-job .ds-badge")).to_have_text("done")
    seen.accessible()
    assert desk.searcher.search("lease a bike").hits[0].chunk.doc == "uploaded/everyone/bikes.md"
    page.evaluate(DROP, [["bikes.md"], ["# Bike leasing\n\nLease a bike after two months.\n"]])
    page.get_by_role("button", name="Replace it").click()
    expect(page.locator("[data-job]")).to_be_visible()
    expect(page.locator(".dl-job .ds-badge")).to_have_text("done", timeout=60_000)
    page.get_by_role("link", name="uploaded/everyone/bikes.md").click()
    expect(page.locator(".dl-text")).to_contain_text("after two months")
    page.get_by_text("Delete this document…").click()
    seen.accessible()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("link", name="uploaded/everyone/bikes.md")).to_have_count(0, timeout=60_000)
    seen.complaints = [one for one in seen.complaints if "415" not in one and "409" not in one]
    seen.check()
    assert desk.uploads.all() == []


def test_a_job_is_watched_and_stopped(browser: "sync_api.Browser", home: str, desk: Desk) -> None:
    job = desk.jobs.start("ingest", "Waiting", [("ingest", "--", str(desk.workspace.root / "nowhere"))], "user-1")
    seen = visit(browser, home, f"jobs/{job.id}")
    expect(seen.page.locator("[data-log]")).to_contain_text("there is no file or folder", timeout=60_000)
    expect(seen.page.locator(".dl-job .ds-badge")).to_have_text("failed")
    seen.check()


def test_an_adapter_is_let_serve_with_a_reason_and_compared(browser: "sync_api.Browser", home: str, desk: Desk) -> None:
    bare(desk.workspace.adapters)
    seen = visit(browser, home, "adapters", 390)
    page = seen.page
    page.get_by_text("Let it serve without the gate…").click()
    page.get_by_label("A trial; it will be evaluated soon").check()
    seen.accessible()
    page.get_by_role("button", name="Let it serve all the same").click()
    expect(page.get_by_text("It serves from the next question on.")).to_be_visible()
    page.goto(f"{home}staff/compare")
    page.get_by_label("Question").fill("What does error 809 mean?")
    page.get_by_role("button", name="Ask all four").click()
    expect(page.locator(".dl-figures")).to_have_count(4)
    expect(page.locator("[data-mode=hybrid]")).to_contain_text("port 4500 is blocked")
    seen.accessible()
    page.goto(f"{home}staff/adapters")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("The base model answers without an adapter.")).to_be_visible()
    seen.check()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_bars_anybody(browser: "sync_api.Browser", home: str, desk: Desk, scheme: str, width: int) -> None:
    desk.registry.promote(bare(desk.workspace.adapters))
    for path in PAGES:
        seen = visit(browser, home, path, width, color_scheme=scheme)
        page = seen.page
        for details in page.locator("details").all():
            details.locator("summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.context.close()
        page = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True
        ).new_page()
        page.goto(f"{home}staff/{path}")
        assert violations(page) == []
        page.context.close()
        assert seen.complaints == []
