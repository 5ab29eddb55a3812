"""The help desk's own answers as HTML: the list, one of them, and the form in which one is written. All escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.loop.correction_form import LONGEST_ANSWER, Form
from app.loop.corrections import Correction
from app.people import Person
from app.staff.frame import badge, empty, filters, lead, notice, when_html
from app.staff.packet_page import WITHHELD, Reader, passage_item
from app.staff.packets import Source
from app.web.markup import answer_html, passage_html
from app.web.pages import below, escape, place_of, sentence
from finetune.house_form import Broken
from ingest.records import EVERYONE, Chunk

SHOWS = {
    "active": "Given now",
    "review": "To review",
    "again": "To check again",
    "withdrawn": "Withdrawn",
}
"""The filters of the list."""

EMPTY = {
    "active": (
        "No corrections yet",
        "Write the right answer to a question here, or from an answer in the queue. It is given at once to everybody "
        "who asks the same and may read the documents it rests on.",
    ),
    "review": ("Nothing to review", "A correction becomes a training row when a second person says that it is right."),
    "again": ("Every document is as it was", "A correction waits here when a document that it rests on has changed."),
    "withdrawn": ("Nothing was withdrawn", "Corrections that are given no more stay readable here."),
}

RULES = {
    "empty": "Says nothing",
    "refusal": "Refusal",
    "length": "Length",
    "opening": "Opening",
    "layout": "Layout",
    "steps": "Steps",
    "citation": "Citation",
    "citation-number": "Citation",
    "banned": "Wording",
    "echo": "Echo",
    "unfinished": "Ending",
    "personal": "Personal data",
}
"""The rules of the house form, and one more, for people."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a correction comes from: what it settles, what it replaces, and what was said before."""

    exchange: int | None = None
    judgement: int | None = None
    replaces: int | None = None
    old_answer: str = ""
    proposal: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a form found: what is wrong with it, and the rules of the house form that it breaks."""

    problem: str = ""
    broken: tuple[Broken, ...] = ()
    looked: bool = False


def list_html(found: Sequence[Correction], numbers: dict[str, int], shown: str, reader: Reader, now: float) -> str:
    """The corrections that one of `SHOWS` chose; `numbers` says how many each would show."""
    links = [
        (label, f"/staff/corrections?show={name}", name == shown, numbers.get(name)) for name, label in SHOWS.items()
    ]
    items = "".join(_item(one, reader, now) for one in found)
    listed = f'<ul class="ds-list">{items}</ul>' if items else empty(*EMPTY[shown])
    return (
        f"{lead('Answers that a person wrote. Each stands before what any model would say to the same question.')}"
        '<p class="ds-actions"><a class="ds-button ds-primary" href="/staff/corrections/new">Write an answer</a></p>'
        f"{filters('What to show', links)}{listed}"
    )


def correction_html(one: Correction, may_review: bool, reader: Reader, now: float) -> str:
    """One correction: its text, what it rests on, and what can be done."""
    seen = reader.may_see(one.draft.rests)
    written = f"<span>written {when_html(one.at, now)} by {escape(one.author_name or 'the help desk')}</span>"
    head = f'<p class="ds-meta">{_state(one)}{written}</p>{_actions(one, may_review, seen)}'
    if not seen:
        return f"{head}<p>{WITHHELD}</p>"
    sources = _sources(one)

    def chip(n: int) -> str | None:
        return f'<a class="ds-chip" href="#c-{n}" aria-label="Passage {n}">{n}</a>' if n in sources else None

    passages = "".join(passage_item(f"c-{n}", n, sources[n], reader, one.draft.rests) for n in sorted(sources))
    groups = ", ".join(sorted(group for any_of in one.draft.rests.groups for group in any_of))
    rests = (
        f'<ul class="ds-passages">{passages}</ul>'
        if passages
        else f"<p>On no document. It is for: {escape(groups)}.</p>"
    )
    return (
        f'{head}<div class="ds-two"><section class="ds-card" aria-label="Answer">'
        f'<div class="ds-text dm-text" dir="auto">{answer_html(one.draft.answer, chip)}</div></section>'
        f'<aside class="ds-card ds-stack" aria-label="Passages"><h2>What it rests on</h2>{rests}</aside></div>'
    )


def form_html(form: Form, origin: Origin, checked: Checked, person: Person) -> str:
    """The form."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{value}">'
        for name, value in (
            ("exchange", origin.exchange),
            ("judgement", origin.judgement),
            ("replaces", origin.replaces),
            *(("passage", chunk.id) for chunk in form.passages),
        )
        if value is not None
    )
    soft = checked.looked and not checked.problem
    save = "Save it as it is" if soft and checked.broken else "Save"
    return (
        f"{lead('It is given at once to everybody who asks this, and may read what it rests on.')}"
        f"{_found(checked)}{_before(origin)}"
        f'<form class="ds-two" method="post" action="/staff/corrections/new">{hidden}'
        '<div class="ds-card ds-stack ds-write">'
        '<div class="ds-field"><label for="ds-question">The question</label>'
        f'<textarea id="ds-question" name="question" rows="2" maxlength="2000" required>{escape(form.question)}'
        "</textarea><small>As people ask it. Case, spaces and punctuation do not matter; other words are another "
        "question.</small>"
        '</div><div class="ds-field"><label for="ds-answer">The right answer</label>'
        f'<textarea id="ds-answer" name="answer" rows="8" maxlength="{LONGEST_ANSWER}" required>{escape(form.answer)}'
        "</textarea><small>Write [1] at the end of each sentence that rests on passage 1.</small></div>"
        f"{_rests_on(form, person)}"
        f'<div class="ds-actions"><button class="ds-button ds-primary" name="do" value="{"keep" if soft else "save"}">'
        f"{save}</button>"
        '<button class="ds-button" name="do" value="check">Check the form</button>'
        '<button class="ds-button" name="do" value="cite">Find the citations</button></div></div>'
        f"{_passages(form)}</form>"
    )


def _item(one: Correction, reader: Reader, now: float) -> str:
    seen = one.draft.answer if reader.may_see(one.draft.rests) else WITHHELD
    return (
        f'<li><a class="ds-cover" href="/staff/corrections/{one.id}" dir="auto">{escape(one.draft.question)}</a>'
        f'<p class="ds-excerpt" dir="auto">{escape(seen)}</p><p class="ds-meta">{_state(one)}'
        f"<span>{when_html(one.at, now)} by {escape(one.author_name or 'the help desk')}</span></p></li>"
    )


def _state(one: Correction) -> str:
    if one.state == "withdrawn":
        return badge("withdrawn")
    if one.suspended:
        return badge("not given: a document changed", "bad")
    if one.state == "reviewed":
        return badge("given", "good") + badge("training row", "good")
    return badge("given", "good") + badge("to review", "warn")


def _actions(one: Correction, may_review: bool, seen: bool) -> str:
    if not one.active:
        again = f'<a class="ds-button" href="/staff/corrections/new?again={one.id}">Write it again</a>'
        return f'<div class="ds-actions">{again}</div>' if seen else ""
    base = f"/staff/corrections/{one.id}"
    buttons = []
    if may_review:
        buttons.append(_button(f"{base}/review", "It is right", "ds-primary"))
    if seen:
        label = "Check and write it again" if one.suspended else "Change it"
        kind = "ds-button ds-primary" if one.suspended else "ds-button"
        buttons.append(f'<a class="{kind}" href="/staff/corrections/new?again={one.id}">{label}</a>')
    buttons.append(_button(f"{base}/withdraw", "Withdraw it", "ds-danger"))
    return f'<div class="ds-actions">{"".join(buttons)}</div>'


def _button(action: str, label: str, kind: str) -> str:
    return f'<form method="post" action="{action}"><button class="ds-button {kind}">{label}</button></form>'


def _sources(one: Correction) -> dict[int, list[Source]]:
    """What a correction cites, by number."""
    found: dict[int, list[Source]] = {}
    for place in one.draft.cited:
        source = Source(place.n, place.doc, place.heading, place.page, place.start, place.end, place.quote)
        found.setdefault(place.n, []).append(source)
    return found


def _found(checked: Checked) -> str:
    """What is wrong, or that nothing is."""
    if checked.problem:
        return notice(sentence(checked.problem), "bad")
    if checked.broken:
        rules = "".join(f"<li><b>{RULES[one.rule]}</b>: {escape(one.detail)}</li>" for one in checked.broken)
        return (
            '<div class="ds-notice ds-warn" role="alert"><p>The answer is not in the house form. It can be given all '
            f'the same, but no model is tuned on it.</p><ul class="ds-rules">{rules}</ul></div>'
        )
    return notice("The answer is in the house form.") if checked.looked else ""


def _before(origin: Origin) -> str:
    parts = []
    if origin.proposal:
        parts.append(f"<h3>What the asker says would be right</h3><p dir='auto'>{escape(origin.proposal)}</p>")
    if origin.old_answer:
        parts.append(f"<h3>What was answered</h3><p dir='auto'>{escape(origin.old_answer)}</p>")
    if origin.replaces:
        parts.append("<p>There is an answer of the help desk to this question already. Saving takes its place.</p>")
    return f'<section class="ds-card ds-before">{"".join(parts)}</section>' if parts else ""


def _rests_on(form: Form, person: Person) -> str:
    groups = "".join(
        f'<label class="ds-check"><input type="checkbox" name="group" value="{escape(group)}"'
        f"{' checked' if group in form.groups else ''}>{'Everyone' if group == EVERYONE else escape(group)}</label>"
        for group in (EVERYONE, *sorted(person.groups - {EVERYONE}))
    )

    def choice(value: str, label: str, chosen: bool) -> str:
        mark = " checked" if chosen else ""
        return f'<label class="ds-check"><input type="radio" name="rests" value="{value}"{mark}>{label}</label>'

    return (
        '<fieldset class="ds-field"><legend>It rests on</legend>'
        f"{choice('documents', 'the passages that it cites, and is for whoever may read them', form.documents)}"
        f"{choice('nothing', 'no document, and is for these groups:', not form.documents)}"
        f'<div class="ds-groups">{groups}</div></fieldset>'
    )


def _passages(form: Form) -> str:
    items = "".join(_passage(n, chunk) for n, chunk in enumerate(form.passages, start=1))
    listed = (
        f'<ol class="ds-passages">{items}</ol>' if items else "<p>No passage was found. Search for other words.</p>"
    )
    return (
        '<div class="ds-card ds-stack"><h2>Passages</h2>'
        '<div class="ds-search"><label class="dm-hidden" for="ds-find">Find more passages</label>'
        '<input id="ds-find" class="ds-input" name="find" maxlength="500" placeholder="Find more passages">'
        f'<button class="ds-button" name="do" value="find" formnovalidate>Find</button></div>{listed}</div>'
    )


def _passage(n: int, chunk: Chunk) -> str:
    under = below(chunk.title, chunk.heading)
    return (
        f'<li id="p-{n}"><p class="ds-source"><b>{n}</b><span><strong>{escape(chunk.title or chunk.doc)}</strong>'
        f"{f'<span>{escape(under)}</span>' if under else ''}<small>{escape(place_of(chunk.doc, chunk.page))}</small>"
        f'</span><button type="button" class="ds-quiet" data-cite="{n}" hidden>Cite [{n}]</button></p>'
        f'<div class="ds-document" dir="auto">{passage_html(chunk.text, 0, 0, around=None)}</div></li>'
    )
