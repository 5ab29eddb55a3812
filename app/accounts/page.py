"""The page on which people sign in, as HTML: pure functions, everything from outside escaped.

`app/static/sign-in.js` adds comfort; nothing needs it.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from app.web.frame import LOGO
from app.web.pages import escape

STATIC = Path(__file__).parent.parent / "static"


@dataclass(frozen=True, slots=True)
class Ways:
    """How people sign in: `label` is the button of single sign-on, empty where there is none."""

    passwords: bool
    label: str


def sign_in_page(title: str, ways: Ways, wanted: str, name: str = "", problem: str = "", said: str = "") -> str:
    """The page.

    Args:
        title: what the help desk is called.
        ways: how people sign in.
        wanted: the path to go to afterwards.
        name: as it was typed before.
        problem: why it did not work.
        said: what went well before.
    """
    alert = f'<p class="di-problem" role="alert" id="di-problem">{escape(problem)}</p>' if problem else ""
    note = f'<p class="di-said" role="status">{escape(said)}</p>' if said else ""
    company = _company(ways.label, wanted, alone=not ways.passwords) if ways.label else ""
    parts = [company, _passwords(wanted, name, bool(problem))] if ways.passwords else [company]
    between = '<p class="di-or"><span>or</span></p>'
    return _page(
        title,
        "Sign in",
        f"<h1>Sign in</h1><p class='di-lead'>to {escape(_named(title))}</p>{note}{alert}"
        + between.join(part for part in parts if part),
    )


def failed_page(title: str, problem: str) -> str:
    """What stands where signing in went wrong on the way."""
    body = (
        f'<h1>This did not work</h1><p class="di-problem" role="alert">{escape(problem)}</p>'
        '<a class="di-button di-primary" href="/sign-in">Try again</a>'
    )
    return _page(title, "Not signed in", body)


def sentence(message: str) -> str:
    """A message with a capital and a stop."""
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def _company(label: str, wanted: str, alone: bool) -> str:
    kind = "di-primary" if alone else "di-plain"
    return f'<a class="di-button {kind}" href="/sign-in/company?next={quote(wanted, safe="/")}">{escape(label)}</a>'


def _passwords(wanted: str, name: str, failed: bool) -> str:
    marks = ' aria-invalid="true" aria-describedby="di-problem"' if failed else ""
    first, second = ("", " autofocus") if name else (" autofocus", "")
    return (
        '<form method="post" action="/sign-in">'
        f'<input type="hidden" name="next" value="{escape(wanted)}">'
        '<label for="di-name">Name</label>'
        f'<input id="di-name" name="name" required maxlength="64" autocomplete="username" autocapitalize="none" '
        f'spellcheck="false" value="{escape(name[:64])}"{marks}{first}>'
        '<label for="di-password">Password</label>'
        '<div class="di-password"><input id="di-password" name="password" type="password" required maxlength="1024" '
        f'autocomplete="current-password"{marks}{second}>'
        '<button type="button" class="di-show" aria-controls="di-password" aria-pressed="false" hidden>'
        "Show</button></div>"
        '<button class="di-button di-primary" type="submit">Sign in</button></form>'
    )


def _named(title: str) -> str:
    return "the help desk" if title == "Help desk" else title


def _page(title: str, heading: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)} · {escape(title)}</title>{_links()}</head>"
        f'<body class="di-page"><main class="di-card">{LOGO}{body}</main></body></html>'
    )


@cache
def _links() -> str:
    """What the head loads. The address carries the contents' hash, so that no old file is ever shown."""
    return "".join(
        form.format(f"/desk/{file}?v={hashlib.sha256((STATIC / file).read_bytes()).hexdigest()[:12]}")
        for file, form in (
            ("favicon.svg", '<link rel="icon" href="{}" type="image/svg+xml">'),
            ("chat.css", '<link rel="stylesheet" href="{}">'),
            ("sign-in.css", '<link rel="stylesheet" href="{}">'),
            ("sign-in.js", '<script src="{}" defer></script>'),
        )
    )
