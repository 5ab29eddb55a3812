"""The page around the conversation as HTML: bar, greeting, source panel, and Gradio's own page with our head.

Pure functions, everything that comes from outside escaped.
"""

import json
import re
from collections.abc import Sequence

from app.pages import MODES, escape, first_state

LOGO = (
    '<svg class="dm-logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">'
    '<rect width="32" height="32" rx="9" fill="currentColor"/>'
    '<path d="M9 8.5h14a2.5 2.5 0 0 1 2.5 2.5v7a2.5 2.5 0 0 1-2.5 2.5h-6.4L12 25v-4.5H9A2.5 2.5 0 0 1 6.5 18v-7'
    'A2.5 2.5 0 0 1 9 8.5Z" fill="var(--dm-on-accent)"/>'
    '<path d="M11 12.6h10M11 16.2h6" stroke="currentColor" stroke-width="1.9" stroke-linecap="round"/></svg>'
)

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
  <p class="dm-editing" hidden><span></span><button type="button" class="dm-link" data-do="keep">Cancel</button></p>
  <p class="dm-hint" role="alert"></p>
</div>
"""

SMALL_PRINT = '<p class="dm-mode-note" aria-live="polite"></p>'


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
        f'<span class="dm-brand">{LOGO}<span>{escape(title)}</span></span><span class="dm-grow"></span>'
        f'{link}<button type="button" class="dm-ghost" data-do="fresh" hidden>New chat</button>'
        '<button type="button" class="dm-ghost dm-icon" data-do="theme" aria-label="Switch between light and dark" '
        'title="Light or dark"><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8" fill="none" '
        'stroke="currentColor" stroke-width="1.8"/><path d="M12 4a8 8 0 0 1 0 16Z" fill="currentColor"/></svg>'
        "</button></header>"
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
