"""The page around the conversation as HTML: bar, greeting, source panel, and Gradio's own page with our head.

Pure functions, everything that comes from outside escaped.
"""

import json
import re
from collections.abc import Sequence

from app.people import Person
from app.web.pages import MODES, escape, first_state

LOGO = (
    '<svg class="dm-logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">'
    '<rect width="32" height="32" rx="9" fill="currentColor"/>'
    '<path d="M9 8.5h14a2.5 2.5 0 0 1 2.5 2.5v7a2.5 2.5 0 0 1-2.5 2.5h-6.4L12 25v-4.5H9A2.5 2.5 0 0 1 6.5 18v-7'
    'A2.5 2.5 0 0 1 9 8.5Z" fill="var(--dm-on-accent)"/>'
    '<path d="M11 12.6h10M11 16.2h6" stroke="currentColor" stroke-width="1.9" stroke-linecap="round"/></svg>'
)

DIALOGS = """
<dialog id="dm-ask" class="dm-dialog" aria-labelledby="dm-ask-title">
  <form method="dialog">
    <h2 id="dm-ask-title"></h2>
    <p id="dm-ask-text"></p>
    <label class="dm-field" id="dm-ask-field"><span>Title</span><input type="text" autocomplete="off"></label>
    <div class="dm-actions"><button type="submit" value="yes" class="dm-primary"></button>
      <button type="submit" value="" class="dm-ghost" formnovalidate>Cancel</button></div>
  </form>
</dialog>
<dialog id="dm-hand" class="dm-dialog" aria-labelledby="dm-hand-title">
  <form method="dialog">
    <h2 id="dm-hand-title">Talk to a person</h2>
    <div id="dm-hand-preview"></div>
    <label class="dm-field"><span>What should they know? <small>(optional)</small></span>
      <textarea rows="3" maxlength="2000"></textarea></label>
    <p class="dm-muted">The assistant is silent in this conversation until the talk has ended.</p>
    <p class="dm-problem" role="alert"></p>
    <div class="dm-actions"><button type="submit" value="yes" class="dm-primary">Hand over</button>
      <button type="submit" value="" class="dm-ghost" formnovalidate>Cancel</button></div>
  </form>
</dialog>
"""
"""What is asked in the way; beside the bar, the one part that nothing ever covers."""

PAST = """
<nav id="dm-past-panel" class="dm-past" aria-label="Your conversations" hidden>
  <div class="dm-past-head">
    <button type="button" class="dm-new" data-do="fresh"><span aria-hidden="true">+</span> New chat</button>
    <button type="button" class="dm-ghost dm-icon" data-do="past" aria-label="Close the list of conversations"
      title="Close">×</button>
  </div>
  <label class="dm-hidden" for="dm-find">Search your conversations</label>
  <input id="dm-find" type="search" placeholder="Search your conversations" maxlength="200" autocomplete="off">
  <div id="dm-past-list"></div>
  <p class="dm-hidden" role="status" id="dm-past-said"></p>
  <div class="dm-past-foot">
    <span class="dm-who"></span>
    <button type="button" class="dm-tool" data-past="erase-all">Erase all…</button>
  </div>
</nav>
"""

PANEL = """
<aside id="dm-source" class="dm-panel" aria-labelledby="dm-source-title" hidden>
  <div class="dm-panel-head">
    <div class="dm-panel-tools">
      <span class="dm-label" id="dm-source-count"></span><span class="dm-grow"></span>
      <button type="button" class="dm-ghost dm-icon" data-panel="previous" aria-label="Previous source">‹</button>
      <button type="button" class="dm-ghost dm-icon" data-panel="next" aria-label="Next source">›</button>
      <button type="button" class="dm-ghost dm-icon" data-panel="close" aria-label="Close the source"
        title="Close (Escape)">×</button>
    </div>
    <h2 id="dm-source-title" tabindex="-1"></h2>
    <p id="dm-source-trail"></p>
    <p id="dm-source-place" class="dm-muted"></p>
  </div>
  <div id="dm-source-text" class="dm-document" dir="auto" tabindex="0" role="region" aria-label="Text of the document">
  </div>
  <div class="dm-panel-foot">
    <button type="button" class="dm-tool" data-panel="whole">Show the whole document</button>
  </div>
</aside>
"""

TRANSCRIPT = """
<div class="dm-log" role="region" aria-label="Conversation"></div>
<p class="dm-hidden" role="status" aria-live="polite"></p>
"""

COMPOSER = """
<div class="dm-lines">
  <div class="dm-stand" role="status" hidden></div>
  <p class="dm-editing" hidden><span></span><button type="button" class="dm-link" data-do="keep">Cancel</button></p>
  <p class="dm-hint" role="alert"></p>
</div>
"""

SMALL_PRINT = """
<div class="dm-small">
  <p class="dm-mode-note" aria-live="polite"></p>
  <button type="button" class="dm-link dm-to-person" data-do="talk">Talk to a person</button>
</div>
"""


def welcome_html(title: str, documents: int | None, examples: Sequence[str]) -> str:
    """The empty page: a greeting, what is known, and questions to start with."""
    known = (
        "your company's documents" if documents is None else f"{documents:,} document{'' if documents == 1 else 's'}"
    )
    starters = "".join(
        f'<li><button type="button" class="dm-starter" data-ask="{escape(example)}">{escape(example)}</button></li>'
        for example in examples
    )
    label = f'<h2 class="dm-label">Try one of these</h2><ul class="dm-starters">{starters}</ul>' if starters else ""
    return (
        f'<section class="dm-welcome">{LOGO}<h1>How can we help?</h1>'
        f"<p>The {escape(title[:1].lower() + title[1:] if title == 'Help desk' else title)} answers from {known} "
        f"and shows you the passage behind every answer.</p>{label}</section>"
    )


def header_html(title: str, reports: bool = False) -> str:
    """The bar at the top, with a link to the reports where they are served."""
    link = '<a class="dm-ghost dm-reports" href="/reports" target="_blank">Reports</a>' if reports else ""
    return (
        '<header class="dm-bar"><a class="dm-skip" href="#dm-question">Skip to the question</a>'
        '<button type="button" class="dm-ghost dm-icon" data-do="past" aria-label="Your conversations" '
        'aria-expanded="false" aria-controls="dm-past-panel" title="Your conversations">'
        '<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="M4 6.5h16M4 12h16M4 17.5h10" '
        'fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/></svg></button>'
        f'<span class="dm-brand">{LOGO}<span>{escape(title)}</span></span><span class="dm-grow"></span>'
        f'{link}<span class="dm-who"></span>'
        '<button type="button" class="dm-ghost dm-begin" data-do="fresh" hidden>New chat</button>'
        '<button type="button" class="dm-ghost dm-icon" data-do="theme" aria-label="Switch between light and dark" '
        'title="Light or dark"><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" fill="none" '
        'stroke="currentColor" stroke-width="1.8"/><path d="M12 4a8 8 0 0 1 0 16Z" fill="currentColor"/></svg>'
        f"</button></header>{DIALOGS}"
    )


def person_html(person: Person) -> str:
    """Who has signed in, and the way out, for a bar; nothing for a guest. Works without a script."""
    if person.guest:
        return ""
    return (
        f'<form class="dm-person" method="post" action="/sign-out"><span title="Signed in as {escape(person.name)}">'
        f'{escape(person.name)}</span><button class="dm-ghost" type="submit">Sign out</button></form>'
    )


def modes_json() -> str:
    """What the page's script says about the modes."""
    return json.dumps({mode.value: {"note": text.note, "state": first_state(mode)} for mode, text in MODES.items()})


def page_html(page: str, title: str, links: str) -> str:
    """Gradio's page with our head.

    Its promotional tags, foreign links and manifest go; our title, icon and files come, and a quiet logo that is seen
    while Gradio starts.
    """
    page = re.sub(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>', "", page)
    page = re.sub(r'<link[^>]*(?:rel="manifest"|href="https?:)[^>]*>', "", page)
    head = f"<title>{escape(title)}</title>{links}"
    page = re.sub(r'(<meta charset="utf-8"\s*/?>)', lambda match: match[1] + head, page, count=1)
    splash = f'<div id="dm-splash" aria-hidden="true">{LOGO}</div>'
    return re.sub(r"(<body[^>]*>)", lambda match: match[1] + splash, page, count=1)
