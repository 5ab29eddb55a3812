"""The help desk's queue as HTML: what waits, and one page for each thing that does. Pure; everything is escaped.

What is shown of an answer has passed `app.staff.packet_page`, which knows what the reader may see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.chat.feedback import REASONS
from app.chat.talk import Said
from app.loop.corrections import Correction
from app.people import Person
from app.staff.frame import ago, badge, empty, filters, lead, notice, when_html
from app.staff.handovers import LONGEST_SAID, Delivery, Handover
from app.staff.judged import Judged
from app.staff.packet_page import WITHHELD, Reader, masked_html, passages_html, talk_html
from app.staff.packets import Packet
from app.web.pages import escape

SHOWS = {
    "all": "Everything",
    "handovers": "Hand-overs",
    "judged": "Judged bad",
    "again": "To check again",
    "mine": "Mine",
    "closed": "Closed hand-overs",
}
"""The filters of the queue."""

EMPTY = {
    "all": ("Nobody is waiting", "Hand-overs and answers that people judged bad appear here as they come in."),
    "handovers": ("Nobody asks for a person", "When somebody does, their conversation is here with all its passages."),
    "judged": ("No bad answers", "Thumbs down that nobody has looked at yet are listed here, with their reason."),
    "again": ("Everything is up to date", "When a document changes, the corrections that rest on it come back here."),
    "mine": ("You have taken nothing", "Take a hand-over from the list, and it stays here until you close it."),
    "closed": (
        "Nothing was closed yet",
        "Closed hand-overs stay readable here for as long as their conversation is kept.",
    ),
}

CHANNELS = {"mail": "Mail", "webhook": "Webhook"}


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits, for one person of the help desk."""

    handovers: Sequence[Handover]
    judged: Sequence[Judged]
    again: Sequence[Correction]
    closed: Sequence[Handover] = ()


def queue_html(queue: Queue, shown: str, person: Person, reader: Reader, now: float) -> str:
    """The list, narrowed by one of `SHOWS`."""
    mine = [one for one in queue.handovers if one.taken_by == person.id]
    parts = {
        "handovers": [(one.unanswered or one.at, _handover_item(one, person, reader, now)) for one in queue.handovers],
        "judged": [(one.at, _judged_item(one, reader, now)) for one in queue.judged],
        "again": [(one.at, _again_item(one, reader, now)) for one in queue.again],
        "mine": [(one.at, _handover_item(one, person, reader, now)) for one in mine],
        "closed": [(-(one.closed or 0), _handover_item(one, person, reader, now)) for one in queue.closed],
    }
    everything = [*parts["handovers"], *parts["judged"], *parts["again"]]
    chosen = sorted(everything, key=lambda pair: pair[0]) if shown == "all" else parts[shown]
    numbers = {name: len(parts[name]) for name in parts} | {"all": len(everything)}
    links = [
        (label, f"/staff/queue?show={name}", name == shown, None if name == "closed" else numbers[name])
        for name, label in SHOWS.items()
    ]
    items = "".join(html for _, html in chosen)
    listed = f'<ul class="ds-list">{items}</ul>' if items else empty(*EMPTY[shown])
    return (
        f"{lead('Who waits for a person, and which answers people found wrong. Whoever waits longest comes first.')}"
        f'<div id="ds-queue" class="ds-stack" data-live>{filters("What to show", links)}{listed}</div>'
    )


def handover_html(one: Handover, person: Person, reader: Reader, now: float) -> str:
    """A hand-over: the conversation and what was said, the passages beside them, and what can be done."""
    own = f'<p class="ds-note"><strong>What they say:</strong> {escape(one.packet.note)}</p>' if one.packet.note else ""
    said = "".join(_said(reply, one.owner, now) for reply in one.said)
    return (
        f'<div id="ds-state" class="ds-stack" data-live>{_state(one, person, now)}{_deliveries(one.deliveries)}</div>'
        f'<div class="ds-two"><div class="ds-stack"><section class="ds-card" aria-label="Conversation">{own}'
        f"{talk_html(one.packet, reader)}{masked_html(one.packet)}</section>"
        f'<section id="ds-talk" class="ds-talk" role="log" aria-label="Messages" data-live>{said}</section>'
        f"{_reply(one, person)}</div>"
        f'<aside class="ds-card ds-stack" aria-label="Passages"><h2>Passages</h2>{passages_html(one.packet, reader)}'
        f"{_correct(one.packet, reader)}</aside></div>"
    )


def judged_html(one: Judged, packet: Packet, reader: Reader, now: float) -> str:
    """An answer that was judged bad: the conversation up to it, why, and what can be done."""
    seen = reader.may_see(one.asked.rests)
    why = badge(_reason(one), "warn")
    proposal = ""
    if one.proposal and seen:
        proposal = (
            f'<section class="ds-card"><h2>What they say would be right</h2>'
            f'<p class="ds-words" dir="auto">{escape(one.proposal)}</p></section>'
        )
    if one.settled is not None:
        actions = notice("This is settled.", "plain")
    else:
        actions = (
            f'<div class="ds-actions"><a class="ds-button ds-primary" '
            f'href="/staff/corrections/new?judgement={one.id}">Write the right answer</a>'
            f'<form method="post" action="/staff/queue/answer/{one.id}/dismiss">'
            '<button class="ds-button">Nothing to correct</button></form></div>'
        )
    return (
        f'<p class="ds-meta">{why} judged {when_html(one.at, now)}</p>{actions}'
        f'<div class="ds-two"><div class="ds-stack"><section class="ds-card" aria-label="Conversation">'
        f"{talk_html(packet, reader, badge('judged bad', 'bad'))}{masked_html(packet)}</section>{proposal}</div>"
        '<aside class="ds-card ds-stack" aria-label="Passages"><h2>Passages</h2>'
        f"{passages_html(packet, reader)}</aside></div>"
    )


def _handover_item(one: Handover, person: Person, reader: Reader, now: float) -> str:
    match one.state:
        case "waiting":
            state = badge("waits for a person", "bad")
        case "taken":
            state = badge("yours" if one.taken_by == person.id else _taken(one), "good")
        case _:
            state = badge("closed")
    since = one.unanswered
    waits = (
        "answered"
        if since is None
        else f"waiting {ago(since, now).removesuffix(' ago').replace('just now', 'since just now')}"
    )
    when = when_html(one.closed, now) if one.closed else f"<span>{waits}</span>"
    last = one.packet.exchanges[-1] if one.packet.exchanges else None
    excerpt = ""
    if last:
        seen = last.answer if reader.may_see(last.rests) else WITHHELD
        excerpt = f'<p class="ds-excerpt" dir="auto">{escape(seen)}</p>'
    failed = badge("not sent", "warn") if any(post.state == "failed" for post in one.deliveries) else ""
    return _item(
        f"/staff/queue/handover/{one.id}",
        one.asked or "A conversation without a question",
        excerpt,
        f"{state}{when}{failed}",
    )


def _judged_item(one: Judged, reader: Reader, now: float) -> str:
    seen = one.asked.answer if reader.may_see(one.asked.rests) else WITHHELD
    proposal = badge("has a proposal", "good") if one.proposal else ""
    meta = f"{badge(_reason(one), 'warn')}<span>{when_html(one.at, now)}</span>{proposal}"
    return _item(
        f"/staff/queue/answer/{one.id}", one.asked.whole, f'<p class="ds-excerpt" dir="auto">{escape(seen)}</p>', meta
    )


def _taken(one: Handover) -> str:
    return f"taken by {one.taken_name or 'a colleague'}"


def _reason(one: Judged) -> str:
    return next((text for reason, text in REASONS.items() if reason == one.reason), "No reason given")


def _again_item(one: Correction, reader: Reader, now: float) -> str:
    seen = one.draft.answer if reader.may_see(one.draft.rests) else WITHHELD
    meta = f"{badge('a document changed: check again', 'warn')}<span>written {when_html(one.at, now)}</span>"
    return _item(
        f"/staff/corrections/{one.id}", one.draft.question, f'<p class="ds-excerpt" dir="auto">{escape(seen)}</p>', meta
    )


def _item(address: str, title: str, excerpt: str, meta: str) -> str:
    return (
        f'<li><a class="ds-cover" href="{address}" dir="auto">{escape(title)}</a>{excerpt}'
        f'<p class="ds-meta">{meta}</p></li>'
    )


def _state(one: Handover, person: Person, now: float) -> str:
    """How a hand-over stands, and the buttons that change it."""
    began = f"<span>asked for a person {when_html(one.at, now)}</span>"
    base = f"/staff/queue/handover/{one.id}"
    if one.state == "closed":
        return f'<p class="ds-meta">{badge("closed")}<span>{when_html(one.closed or one.at, now)}</span>{began}</p>'
    if one.state == "waiting":
        take = _button(f"{base}/take", "Take it", "ds-primary")
        return f'<p class="ds-meta">{badge("waits for a person", "bad")}{began}</p><div class="ds-actions">{take}</div>'
    if one.taken_by == person.id:
        buttons = _button(f"{base}/close", "Close it") + _button(f"{base}/give-back", "Give it back")
        return f'<p class="ds-meta">{badge("yours", "good")}{began}</p><div class="ds-actions">{buttons}</div>'
    over = _button(f"{base}/take", "Take it over", "", ("from", one.taken_by))
    who = badge(_taken(one), "good")
    return f'<p class="ds-meta">{who}{began}</p><div class="ds-actions">{over}</div>'


def _reply(one: Handover, person: Person) -> str:
    if one.taken_by != person.id or one.state != "taken":
        return ""
    return (
        f'<form class="ds-card ds-reply" method="post" action="/staff/queue/handover/{one.id}/reply">'
        f'<div class="ds-field"><label for="ds-text">Your answer</label><textarea id="ds-text" name="text" '
        f'maxlength="{LONGEST_SAID}" rows="4" required></textarea><small>It appears in their conversation, with your '
        'name.</small></div><div class="ds-actions"><button class="ds-button ds-primary">Send</button>'
        '<button class="ds-button" name="close" value="1">Send and close</button></div></form>'
    )


def _correct(packet: Packet, reader: Reader) -> str:
    """The way to correct the last answer, for everybody who asks the same."""
    if not packet.exchanges:
        return ""
    last = packet.exchanges[-1]
    return (
        f'<p><a class="ds-button" href="/staff/corrections/new?exchange={last.exchange}">Write the right answer for '
        "everybody who asks this</a></p>"
    )


def _said(said: Said, owner: str, now: float) -> str:
    if said.author == owner:
        side, name = "ds-asked", "Asker"
    else:
        side, name = "ds-answered", said.name or "Help desk"
    return (
        f'<div class="{side}"><p dir="auto">{escape(said.text)}</p>'
        f"<small>{escape(name)}, {when_html(said.at, now)}</small></div>"
    )


def _deliveries(sent: Sequence[Delivery]) -> str:
    lines = []
    for one in sent:
        name = CHANNELS.get(one.channel, one.channel)
        match one.state:
            case "delivered":
                lines.append(f"<span>{badge(f'{name}: delivered', 'good')}</span>")
            case "trying":
                why = f" ({one.problem}; tried {one.tries} times)" if one.problem else ""
                lines.append(f"<span>{badge(f'{name}: on its way', 'plain')}{escape(why)}</span>")
            case _:
                again = _button(f"/staff/queue/delivery/{one.id}/again", "Try again", "ds-quiet")
                lines.append(f"<span>{badge(f'{name}: not delivered', 'bad')} {escape(one.problem)}</span>{again}")
    return f'<div class="ds-meta">{"".join(lines)}</div>' if lines else ""


def _button(action: str, label: str, kind: str = "", field: tuple[str, str] | None = None) -> str:
    hidden = f'<input type="hidden" name="{field[0]}" value="{escape(field[1])}">' if field else ""
    style = kind if kind == "ds-quiet" else f"ds-button {kind}".strip()
    return f'<form method="post" action="{action}">{hidden}<button class="{style}">{label}</button></form>'
