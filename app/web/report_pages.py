"""The addresses under `/reports`: which evaluations there are, and their finished pages as they lie in the workspace.

Serves files and renders a list; how a report is made is the evaluation's matter.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from app.web.frame import LOGO
from app.web.harden import HEADERS
from app.web.pages import count_of, escape

PAGES = {"report.html": "text/html; charset=utf-8", "report.md": "text/markdown; charset=utf-8"}
"""What may be read of a report's folder. Its JSON and its answers hold what restricted questions are answered by."""

POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self'; "
POLICY += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""A report's own policy, which a browser heeds as well, lets only its one script run."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished report, as the list shows it. `allowed` is the gate's decision, None where nobody asked for one."""

    name: str
    verdict: str
    created: str
    modes: tuple[str, ...]
    questions: int
    allowed: bool | None


def entries(reports: Path) -> list[Entry]:
    """The reports of a workspace, newest first; a folder without a page is none."""
    found = [_entry(path.parent) for path in reports.glob("*/report.html")]
    return sorted((one for one in found if one), key=lambda one: one.created, reverse=True)


def _entry(folder: Path) -> Entry | None:
    """What `report.json` says of a report; None where that is not there or not one of ours."""
    try:
        report: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
        modes = tuple(str(mode["mode"]) for mode in report["modes"])
        gate = report.get("gate")
        allowed = bool(gate["allowed"]) if gate else None
        asked = int(report["questions"]["n"])
        return Entry(folder.name, str(report["verdict"]), str(report["created"]), modes, asked, allowed)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def mount_reports(app: FastAPI, reports: Path, title: str) -> None:
    """Put the list and the pages under `/reports` into an application.

    Args:
        app: the whole one.
        reports: the folder with a report's folder each.
        title: what the help desk is called.
    """
    headers = HEADERS | {"content-security-policy": POLICY, "cache-control": "no-cache"}

    @app.get("/reports", include_in_schema=False)
    def index() -> HTMLResponse:
        return HTMLResponse(list_html(entries(reports), title), headers=headers)

    @app.get("/reports/", include_in_schema=False)
    def slash() -> RedirectResponse:
        return RedirectResponse("/reports")

    @app.get("/reports/{name}/{page}", include_in_schema=False)
    def report(name: str, page: str) -> FileResponse:
        # Only names that the list has: no path is ever made of what was asked for.
        if page not in PAGES or name not in {one.name for one in entries(reports)}:
            raise HTTPException(404, "there is no such report")
        return FileResponse(reports / name / page, media_type=PAGES[page], headers=headers)


def list_html(found: list[Entry], title: str) -> str:
    """The page with the list."""
    body = "".join(_item(one) for one in found)
    empty = "<p>There is no report yet. <code>deskmate eval</code> asks a question set and makes one.</p>"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Reports · {escape(title)}</title><link rel="icon" href="/desk/favicon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/desk/chat.css"><link rel="stylesheet" href="/desk/reports.css">'
        '</head><body class="dl-page"><header class="dl-top">'
        f'<a class="dm-brand" href="/">{LOGO}<span>{escape(title)}</span></a>'
        '<a href="/">Back to the chat</a></header><main><h1>How well does it answer?</h1>'
        f"{f'<ul>{body}</ul>' if body else empty}</main></body></html>\n"
    )


def _item(one: Entry) -> str:
    address = f"/reports/{quote(one.name, safe='')}"
    said = "".join(_gate(one))
    return (
        f'<li><p class="dl-when"><time datetime="{escape(one.created)}">{escape(_day(one.created))}</time> '
        f"{escape(one.name)}{said}</p>"
        f'<h2><a href="{address}/report.html">{escape(one.verdict[:1].upper() + one.verdict[1:])}</a></h2>'
        f'<p class="dl-about">{escape(", ".join(one.modes))} · {count_of(one.questions, "question")} · '
        f'<a href="{address}/report.md" download="{escape(one.name)}.md">Markdown</a></p></li>'
    )


def _gate(one: Entry) -> Iterator[str]:
    if one.allowed is not None:
        tone, word = ("dl-yes", "may serve") if one.allowed else ("dl-no", "may not serve")
        yield f' <span class="dl-gate {tone}">{word}</span>'


def _day(stamp: str) -> str:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y, %H:%M}"
