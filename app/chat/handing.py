"""Handing over to a person, as the asker sees it: what would go, how it stands, and what is said. HTML, all escaped.

Knows neither the queue nor the mail: `app.chat.talk` says what is asked of whoever takes it.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from app.chat.session import Patch
from app.chat.talk import Handed, Handovers, Said, Stand
from app.people import Person
from app.web.pages import escape

LONGEST_NOTE = 2_000
"""Characters of the note that goes with a hand-over."""


def talk_of(handovers: Handovers, conversation: str, person: Person, after: int | None = None) -> Patch:
    """How a conversation stands with people, for the page; with `after` also what was said since that message."""
    stand = handovers.state(conversation)
    said = [] if after is None or stand is None else handovers.since(conversation, after)
    return {
        "stage": stand.stage if stand else "",
        "stand": stand_html(stand) if stand and stand.open else "",
        "ended": ended_text(stand) if stand and not stand.open else "",
        "said": [said_parts(one, person) for one in said],
    }


def stand_html(stand: Stand) -> str:
    """The line above the question while people have the word."""
    if stand.stage == "waiting":
        text = f"Waiting for a person of the help desk, since {clock_html(stand.at)}. You can add to it below."
    else:
        text = f"You are talking to <strong>{escape(stand.by or 'the help desk')}</strong>. The assistant is silent."
    return (
        f'<span class="dm-live" aria-hidden="true"></span><span class="dm-grow">{text}</span>'
        '<button type="button" class="dm-link" data-do="end-talk">End and go back to the assistant</button>'
    )


def ended_text(stand: Stand) -> str:
    """What is said when people have given the word back."""
    return f"The talk with {stand.by or 'the help desk'} has ended. The assistant answers again."


def said_parts(said: Said, person: Person) -> Patch:
    """One message, as a part of the log."""
    when = f'<span class="dm-when">{clock_html(said.at)}</span>'
    text = escape(said.text)
    if said.author == person.id:
        html = f'<div class="dm-question"><p class="dm-ask" dir="auto">{text}</p></div>'
    else:
        name = escape(said.name or "Help desk")
        html = (
            f'<div class="dm-colleague"><p class="dm-label">{name} {when}</p>'
            f'<p class="dm-words" dir="auto">{text}</p></div>'
        )
    return {"said": said.id, "html": html, "say": "" if said.author == person.id else f"{said.name}: {said.text}"}


def preview_html(handed: Sequence[Handed]) -> str:
    """What goes to the help desk, for the asker to see before it does."""
    if not handed:
        return '<p class="dm-muted">Nothing was asked here yet. Say in a sentence what it is about.</p>'
    turns = "".join(_handed(one) for one in handed)
    return (
        "<p>A colleague gets what you see here. Personal data such as phone numbers is masked.</p>"
        f'<ol class="dm-handed" tabindex="0" aria-label="What is handed over">{turns}</ol>'
    )


def withheld(one: Handed) -> Handed:
    """An exchange whose answer the asker may not read any more; people of the help desk who may still get it."""
    return replace(one, answer="(This answer rests on a document that you may not read any more.)", sources=())


def _handed(one: Handed) -> str:
    sources = f"<small>{escape(' · '.join(one.sources))}</small>" if one.sources else ""
    answer = f'<span dir="auto">{escape(one.answer)}</span>'
    return f'<li><strong dir="auto">{escape(one.question)}</strong>{answer}{sources}</li>'


def clock_html(at: float) -> str:
    """A moment, as the server's clock says it; the page puts it into the reader's own."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return f'<time datetime="{stamp}">{time.strftime("%H:%M", time.localtime(at))}</time>'
