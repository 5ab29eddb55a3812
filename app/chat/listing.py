"""The list of somebody's conversations, as HTML. Pure functions; everything from outside is escaped."""

import time
from collections.abc import Sequence
from datetime import date, timedelta

from app.chat.archive import LISTED, LONGEST_TITLE, Listed
from app.web.pages import escape

_DOTS = (
    '<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false"><circle cx="5" cy="12" r="1.7"/>'
    '<circle cx="12" cy="12" r="1.7"/><circle cx="19" cy="12" r="1.7"/></svg>'
)


def list_html(found: Sequence[Listed], search: str, today: date) -> str:
    """The conversations under the days of their last word.

    Args:
        found: the newest first.
        search: what was searched for, or empty.
        today: by the server's clock.
    """
    if not found:
        text = f"Nothing found for “{search}”." if search else "Your conversations will be here."
        return f'<p class="dm-muted dm-none">{escape(text)}</p>'
    out: list[str] = []
    label = ""
    for one in found:
        if (day := _day(one.updated, today)) != label:
            label = day
            out.append(f'{"</ul>" if out else ""}<h3 class="dm-label">{label}</h3><ul>')
        out.append(_item(one))
    out.append("</ul>")
    if len(found) == LISTED:
        out.append('<p class="dm-muted dm-none">Older ones are found by searching.</p>')
    return "".join(out)


def _item(one: Listed) -> str:
    title = escape(one.title)
    address = f"/chats/{one.id}/export"
    return (
        f'<li class="dm-past-item" data-conversation="{one.id}"><a href="/?c={one.id}" dir="auto">{title}</a>'
        f'<details class="dm-menu"><summary aria-label="More for “{title}”" title="More">{_DOTS}</summary>'
        f'<div class="dm-menu-list">'
        f'<button type="button" data-past="rename" data-most="{LONGEST_TITLE}">Rename</button>'
        f'<a href="{address}.md" download>Export as Markdown</a><a href="{address}.json" download>Export as JSON</a>'
        '<button type="button" class="dm-danger" data-past="erase">Erase</button></div></details></li>'
    )


def _day(updated: float, today: date) -> str:
    day = date.fromtimestamp(updated)
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day > today - timedelta(days=7):
        return "The last seven days"
    return time.strftime("%B %Y", time.localtime(updated))
