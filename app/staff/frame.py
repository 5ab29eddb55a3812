"""The frame of the help desk's pages at `/staff` as HTML: bar, sections, and the pieces that several pages share.

Pure functions; whatever is passed as text is escaped here, whatever is called `body` is HTML already. What stands on a
page is the matter of the module that serves it; `app/static/staff.js` adds live counts, and nothing needs it.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from app.people import Person, Role
from app.web.frame import LOGO
from app.web.pages import count_of, escape, sentence

STATIC = Path(__file__).parent.parent / "static"

MOST_SHOWN = 99
"""A badge says no larger number."""


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation; people without `role` don't see it."""

    key: str
    label: str
    address: str
    role: Role = Role.DESK


SECTIONS = {
    "Answers": (
        Section("queue", "Queue", "/staff/queue"),
        Section("gaps", "Gaps", "/staff/gaps"),
        Section("corrections", "Corrections", "/staff/corrections"),
    ),
    "Knowledge": (
        Section("documents", "Documents", "/staff/documents", Role.ADMIN),
        Section("adapters", "Adapters", "/staff/adapters", Role.ADMIN),
        Section("compare", "Compare", "/staff/compare"),
    ),
    "Service": (
        Section("health", "Health", "/staff/health", Role.ADMIN),
        Section("reports", "Reports", "/reports"),
    ),
}
"""The sections under the headings of the navigation."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a page: the help desk's name, who looks, and how much waits in which section."""

    title: str
    person: Person
    counts: Mapping[str, int] = field(default_factory=dict)


def page(heading: str, section: str, body: str, frame: Frame) -> str:
    """A whole page.

    Args:
        heading: what the page is about; its `<h1>` and title. The body has none.
        section: the key of the section that is open.
        body: HTML.
        frame: what stands around it.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)} · {escape(frame.title)}</title>{_links()}</head>"
        f'<body class="ds-page"><a class="dm-skip" href="#ds-main">Skip to the page</a>{_bar(frame)}'
        f'<div class="ds-frame">{_navigation(section, frame)}'
        f'<main id="ds-main" class="ds-main" tabindex="-1"><h1>{escape(heading)}</h1>{body}</main></div></body></html>'
    )


def error_page(message: str, frame: Frame) -> str:
    """A sentence in place of a page."""
    back = '<p class="ds-actions"><a class="ds-button" href="/staff/queue">To the queue</a></p>'
    return page("This did not work", "", notice(sentence(message), "bad") + back, frame)


def lead(text: str) -> str:
    """The sentence below a heading that says what the page is for."""
    return f'<p class="ds-lead">{escape(text)}</p>'


def notice(text: str, tone: str = "good") -> str:
    """A sentence that stands out. `tone`: good (something was done), warn, or bad."""
    role = "alert" if tone == "bad" else "status"
    return f'<p class="ds-notice ds-{tone}" role="{role}">{escape(text)}</p>'


def badge(text: str, tone: str = "plain") -> str:
    """A short state in words. `tone`: plain, good, warn, bad."""
    return f'<span class="ds-badge ds-{tone}">{escape(text)}</span>'


def empty(heading: str, text: str, body: str = "") -> str:
    """What stands where there is nothing: why, and what to do; `body` is HTML below it, a link or a button."""
    return f'<section class="ds-empty"><h2>{escape(heading)}</h2><p>{escape(text)}</p>{body}</section>'


def figures(pairs: Sequence[tuple[str, str, str]]) -> str:
    """Figures side by side, each with its label, the figure itself, and what it means (or nothing)."""
    tiles = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}{f'<small>{escape(note)}</small>' if note else ''}</dd></div>"
        for label, value, note in pairs
    )
    return f'<dl class="ds-figures">{tiles}</dl>'


def filters(label: str, choices: Sequence[tuple[str, str, bool, int | None]]) -> str:
    """Links that narrow a list: what each says, its address, whether it holds now, and how many it shows."""
    links = "".join(
        f'<a href="{escape(address)}"{_current(current)}>{escape(text)}'
        f"{'' if number is None else f'<span>{number:,}</span>'}</a>"
        for text, address, current, number in choices
    )
    return f'<nav class="ds-filters" aria-label="{escape(label)}">{links}</nav>'


def ago(moment: float, now: float) -> str:
    """How long ago a moment was, in words."""
    seconds = max(0.0, now - moment)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return f"{count_of(int(seconds // size), unit)} ago"
    return "just now"


def when_html(moment: float, now: float) -> str:
    """How long ago, with the moment itself for who asks more closely."""
    exact = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    shown = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(moment)).lstrip("0")
    return f'<time datetime="{exact}" title="{shown}">{ago(moment, now)}</time>'


def _bar(frame: Frame) -> str:
    person = frame.person
    if person.guest:
        who = '<span class="ds-who">this machine</span>'
    else:
        who = (
            f'<span class="ds-who" title="Signed in as {escape(person.name)}">{escape(person.name)}</span>'
            '<form method="post" action="/sign-out"><button class="ds-quiet">Sign out</button></form>'
        )
    return (
        f'<header class="ds-bar"><a class="dm-brand" href="/staff/queue">{LOGO}<span>{escape(frame.title)}</span></a>'
        f'<span class="dm-grow"></span><a class="ds-quiet" href="/">Chat</a>{who}'
        '<button type="button" class="ds-quiet ds-theme" hidden aria-label="Switch between light and dark" '
        'title="Light or dark"><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" fill="none" '
        'stroke="currentColor" stroke-width="1.8"/><path d="M12 4a8 8 0 0 1 0 16Z" fill="currentColor"/></svg></button>'
        "</header>"
    )


def _navigation(open_section: str, frame: Frame) -> str:
    groups = []
    for label, sections in SECTIONS.items():
        seen = [one for one in sections if frame.person.may(one.role)]
        items = "".join(_entry(one, one.key == open_section, frame.counts.get(one.key, 0)) for one in seen)
        if items:
            groups.append(f'<li><span class="ds-group">{label}</span><ul>{items}</ul></li>')
    return f'<nav class="ds-nav" aria-label="Help desk"><ul>{"".join(groups)}</ul></nav>'


def _entry(section: Section, current: bool, waiting: int) -> str:
    shown = f"{waiting}" if waiting <= MOST_SHOWN else f"{MOST_SHOWN}+"
    count = (
        f'<span class="ds-count" data-count="{section.key}"{"" if waiting else " hidden"}><span>{shown}</span>'
        '<span class="dm-hidden"> waiting</span></span>'
    )
    return f'<li><a href="{section.address}"{_current(current)}>{section.label}{count}</a></li>'


def _current(current: bool) -> str:
    return ' aria-current="page"' if current else ""


@lru_cache(maxsize=1)
def _links() -> str:
    """What the head loads. The address carries the contents' hash, so that no old file is ever shown."""
    return "".join(
        form.format(f"/desk/{file}?v={hashlib.sha256((STATIC / file).read_bytes()).hexdigest()[:12]}")
        for file, form in (
            ("favicon.svg", '<link rel="icon" href="{}" type="image/svg+xml">'),
            ("chat.css", '<link rel="stylesheet" href="{}">'),
            ("staff.css", '<link rel="stylesheet" href="{}">'),
            ("staff.js", '<script src="{}"></script>'),
        )
    )
