"""The pages on which people compare answers, as HTML: pure functions, everything that comes from outside escaped.

A page holds the two answers and never which mode gave them. `app/static/rating.js` adds keys; nothing needs it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from app.ratings.plan import Candidate, Pair
from app.ratings.store import LONGEST_NAME, VERDICTS
from app.web.frame import LOGO
from app.web.markup import answer_html, plain
from app.web.pages import count_of, escape, place_of

STATIC = Path(__file__).parent.parent / "static"

QUESTIONS = {
    "tone": ("Tone", "Which one sounds more like a good colleague?"),
    "correctness": ("Correctness", "Which one is more right and complete?"),
}
"""What is asked about each pair: the field, its name, and the question."""

SIDES = {"left": "Answer A", "right": "Answer B"}
CHOICES = {"left": "A is better", "tie": "About the same", "right": "B is better"}


def index_page(title: str, names: Sequence[str]) -> str:
    """The evaluations that can be rated."""
    links = "".join(f'<li><a class="dr-entry" href="/rate/{quote(name)}">{escape(name)}</a></li>' for name in names)
    body = (
        f'<p class="dr-lead">Choose an evaluation.</p><ul class="dr-entries">{links}</ul>'
        if names
        else '<p class="dr-lead">There is nothing to rate yet. <code>deskmate eval</code> makes answers to compare.</p>'
    )
    return _page(title, "Compare answers", f'<h1 class="dr-title">Compare answers</h1>{body}')


def name_page(title: str, name: str, pairs: int, problem: str = "", written: str = "") -> str:
    """Asks a rater for a name, once."""
    alert = f'<p class="dr-problem" role="alert" id="dr-problem">{escape(_sentence(problem))}</p>' if problem else ""
    marks = ' aria-invalid="true" aria-describedby="dr-problem"' if problem else ""
    body = (
        '<h1 class="dr-title">Which answer is better?</h1>'
        f'<p class="dr-lead">You will see {count_of(pairs, "question")}, each with two answers, in chance order and '
        "without a word on where they come from. Say which sounds better and which is more correct. "
        "Stop whenever you like; what you have rated is kept, and you go on where you stopped.</p>"
        f'<form class="dr-name" method="post" action="{_address(name, "name")}">{alert}'
        '<label for="dr-rater">Your name or initials</label>'
        f'<div><input id="dr-rater" name="rater" required maxlength="{LONGEST_NAME}" autocomplete="nickname" '
        f'autofocus value="{escape(written[:LONGEST_NAME])}"{marks}>'
        '<button class="dr-primary" type="submit">Start</button></div>'
        '<p class="dr-small">It is kept in a cookie, and with your ratings, to tell raters apart. '
        "Reports never show it.</p></form>"
    )
    return _page(title, "Compare answers", body)


def pair_page(title: str, name: str, rater: str, pair: Pair, progress: tuple[int, int], last: str) -> str:
    """One question with two answers and what is asked about them.

    Args:
        title: what the help desk is called.
        name: the evaluation's.
        rater: who is asked.
        pair: what is shown.
        progress: how many pairs this rater has rated, of how many.
        last: the id of the pair rated last, which can be undone; empty where there is none.
    """
    done, of = progress
    answers = "".join(_answer(side, one) for side, one in (("left", pair.left), ("right", pair.right)))
    asked = "".join(_choice(field) for field in QUESTIONS)
    body = (
        f'<div class="dr-progress"><label for="dr-bar">{done} of {of} rated</label>'
        f'<progress id="dr-bar" value="{done}" max="{of}"></progress></div>'
        '<p class="dr-label">Question</p>'
        f'<h1 class="dr-question" dir="auto">{escape(pair.question.question)}</h1>'
        f'<div class="dr-pair">{answers}</div>'
        f'<form class="dr-form" method="post" action="{_address(name, "pair")}">'
        f'<input type="hidden" name="pair" value="{pair.id}">{asked}'
        '<div class="dr-actions"><button class="dr-primary" type="submit">Save and next</button>'
        f'{_undo(last)}<p class="dr-keys" aria-hidden="true"><kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> choose '
        "<kbd>Enter</kbd> save <kbd>⌫</kbd> undo</p></div></form>"
        f'{_undo_form(name, last)}<p class="dm-hidden" role="status" id="dr-said"></p>'
    )
    return _page(title, f"Pair {done + 1} of {of}", body, _who(name, rater))


def done_page(title: str, name: str, rater: str, done: int, last: str) -> str:
    """Says thank you; or, where nothing was ever to be done, why."""
    words = (
        f"You have rated all {count_of(done, 'pair')}."
        if done
        else "This evaluation has one mode only, or all its modes gave the same answers."
    )
    body = (
        f'<h1 class="dr-title">{"Thank you" if done else "Nothing to compare"}</h1><p class="dr-lead">{words}</p>'
        f'<div class="dr-actions">{_undo(last)}</div>{_undo_form(name, last)}'
    )
    return _page(title, "All rated", body, _who(name, rater))


def error_page(title: str, message: str) -> str:
    """A sentence in place of a page."""
    body = (
        '<h1 class="dr-title">This did not work</h1>'
        f'<p class="dr-problem" role="alert">{escape(_sentence(message))}</p>'
        '<p><a href="/rate/">To the evaluations</a></p>'
    )
    return _page(title, "Not possible", body)


def _answer(side: str, answered: Candidate) -> str:
    """One answer with the passages that it cites, closed until someone opens them."""

    def chip(n: int) -> str | None:
        if all(one.n != n for one in answered.sources):
            return None
        return f'<a class="dr-chip" href="#{side}-{n}" aria-label="Source {n} of {SIDES[side]}">{n}</a>'

    text = answer_html(answered.text, chip) if answered.text.strip() else '<p class="dm-muted">(an empty answer)</p>'
    return (
        f'<section class="dr-answer" aria-labelledby="dr-{side}"><h2 class="dr-label" id="dr-{side}">{SIDES[side]}</h2>'
        f'<div class="dr-text dm-text" dir="auto">{text}</div>{_sources(side, answered)}</section>'
    )


def _sources(side: str, answered: Candidate) -> str:
    """The passages cited, each once, with what was quoted of it."""
    numbers = sorted({one.n for one in answered.sources})
    if not numbers:
        return '<p class="dr-none">Cites no passage</p>'
    items = []
    for n in numbers:
        cited = [one for one in answered.sources if one.n == n]
        quotes = "".join(
            f"<blockquote dir='auto'>{escape(plain(text))}</blockquote>"
            for text in dict.fromkeys(one.quote for one in cited)
        )
        heading = f"<span>{escape(cited[0].heading)}</span>" if cited[0].heading else ""
        where = f"<small>{escape(place_of(cited[0].doc, cited[0].page))}</small>"
        items.append(f'<li id="{side}-{n}" tabindex="-1"><b>{n}</b><div>{heading}{where}{quotes}</div></li>')
    return (
        f'<details class="dr-sources"><summary>{count_of(len(numbers), "passage")} cited'
        f'<span class="dm-hidden"> in {SIDES[side]}</span></summary><ul>{"".join(items)}</ul></details>'
    )


def _choice(field: str) -> str:
    name, question = QUESTIONS[field]
    options = "".join(
        f'<label><input type="radio" name="{field}" value="{verdict}" required>'
        f'<span><kbd aria-hidden="true">{key}</kbd>{CHOICES[verdict]}</span></label>'
        for key, verdict in enumerate(VERDICTS, start=1)
    )
    return (
        f'<fieldset class="dr-choice" data-name="{name}"><legend><b>{name}</b> <span>{question}</span></legend>'
        f'<div class="dr-options">{options}</div></fieldset>'
    )


def _undo(last: str) -> str:
    """The button of the form below: a form within a form is none."""
    return '<button class="dr-quiet" type="submit" form="dr-undo">Undo the last one</button>' if last else ""


def _undo_form(name: str, last: str) -> str:
    return (
        f'<form id="dr-undo" method="post" action="{_address(name, "undo")}">'
        f'<input type="hidden" name="pair" value="{last}"></form>'
        if last
        else ""
    )


def _who(name: str, rater: str) -> str:
    """Whose ratings these are, and the way out."""
    if not rater:
        return ""
    return (
        f'<form class="dr-who" method="post" action="{_address(name, "leave")}"><span>{escape(rater)}</span>'
        '<button class="dr-quiet" type="submit">Not you?</button></form>'
    )


def _address(name: str, step: str) -> str:
    return f"/rate/{quote(name)}/{step}"


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def _page(title: str, heading: str, body: str, who: str = "") -> str:
    links = "".join(
        form.format(f"/desk/{file}?v={hashlib.sha256((STATIC / file).read_bytes()).hexdigest()[:12]}")
        for file, form in (
            ("favicon.svg", '<link rel="icon" href="{}" type="image/svg+xml">'),
            ("chat.css", '<link rel="stylesheet" href="{}">'),
            ("rating.css", '<link rel="stylesheet" href="{}">'),
            ("rating.js", '<script src="{}"></script>'),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)} · {escape(title)}</title>{links}</head><body>"
        f'<header class="dr-bar"><span class="dm-brand">{LOGO}<span>{escape(title)}</span></span>{who}</header>'
        f'<main class="dr-main">{body}</main></body></html>'
    )
