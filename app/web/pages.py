"""The pieces of a conversation as HTML: pure functions, everything that comes from outside escaped.

`app/static/chat.js` puts the pieces into their places and decides nothing; what they say is decided here.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.answering.answer import Answer
from app.answering.asking_back import choices
from app.answering.grounding import Citation
from app.answering.modes import Mode
from app.web.markup import answer_html, passage_html
from retrieval.chunks import DocumentText
from retrieval.records import Hit

Read = Callable[[str], DocumentText | None]
"""Gives a document's text to the one who asks, or None where there is none for them."""

LONGEST_SHOWN = 600
"""Characters of a question that the page repeats."""

NEAREST = 4
"""Passages offered below a refusal."""

LIKELY, UNSURE = 0.6, 0.35
"""The probability of being right from which an answer is called well supported, and below which it is called unsure."""

CHANGED = "The document has changed since then; this passage is not in it any more."

SUPPORT = {
    "well": "Well supported.",
    "partly": "Partly supported. Check the source.",
    "unsure": "Unsure. Check the source.",
}
"""What is said of an answer from documents. Words: the figure behind them is a rough one."""


@dataclass(frozen=True, slots=True)
class ModeText:
    """What a mode is called and what it does, for people."""

    label: str
    note: str


MODES = {
    Mode.RAG_ONLY: ModeText("Documents", "Finds passages first, then answers from them, with sources."),
    Mode.PROMPT_ONLY: ModeText("Model", "Answers from what the model knows. Reads no documents, gives no sources."),
    Mode.TUNE_ONLY: ModeText("Tuned", "The model trained on house style, without reading documents."),
    Mode.HYBRID: ModeText("Tuned + documents", "The trained model answers from passages, with sources."),
}


def escape(text: str) -> str:
    """Text as HTML, safe in an attribute too."""
    return html.escape(text, quote=True)


def trail(title: str, heading: str) -> str:
    """Where in a document a passage stands: title and headings, the title once."""
    return heading if heading.startswith(title) else " › ".join(part for part in (title, heading) if part)


def question_html(question: str) -> str:
    """The asker's words, cut where they would fill pages."""
    shown = escape(question[:LONGEST_SHOWN])
    if len(question) > LONGEST_SHOWN:
        shown += f' … <span class="dm-muted">({len(question):,} characters)</span>'
    return f'<p class="dm-ask" dir="auto">{shown}</p>'


def working_html(text: str) -> str:
    """What is going on before the first word is there."""
    return (
        f'<p class="dm-state"><span class="dm-dots" aria-hidden="true"><i></i><i></i><i></i></span>{escape(text)}</p>'
    )


def first_state(mode: Mode) -> str:
    """What is going on as soon as a question is asked."""
    return "Searching the documents…" if mode in (Mode.RAG_ONLY, Mode.HYBRID) else "Thinking…"


def found_text(hits: Sequence[Hit]) -> str:
    """What is going on after the search."""
    return f"Found {count_of(len(hits), 'passage')}, reading the best…" if hits else "Thinking…"


def writing_html(text: str, hits: Sequence[Hit]) -> str:
    """The answer as far as it is written; its citations open the passages already."""

    def chip(n: int) -> str | None:
        return _chip(n, f"p{n}", hits[n - 1].chunk.title, hits[n - 1].chunk.heading) if 0 < n <= len(hits) else None

    return f'<div class="dm-text dm-writing" dir="auto">{answer_html(text, chip, writing=True)}</div>'


def stopped_html(text: str, hits: Sequence[Hit]) -> str:
    """What an answer got to when it was stopped before it could be checked."""
    body = writing_html(text, hits).replace(" dm-writing", "", 1) if text.strip() else ""
    return body + note_html("You stopped this answer.")


def answer_body_html(answer: Answer, stopped: bool = False) -> str:
    """A finished answer: its text with citations and doubtful sentences marked, or the calm notice of a refusal."""
    if answer.refused:
        return _refusal_html(answer)
    doubtful = [s.text for s in answer.sentences if not s.supported] if answer.generation else []
    out = [f'<div class="dm-text" dir="auto">{answer_html(answer.answer, _chips(answer), doubtful)}</div>']
    if stopped:
        out.append(note_html("You stopped this answer."))
    elif not answer.answer.strip():
        out.append(note_html("The model gave no answer. Try again, or put the question differently."))
    elif answer.generation is None:
        out.append(note_html("No documents were read for this answer. Check it before you rely on it."))
    elif answer.corrected:
        out.append(note_html("Checked by the help desk."))
    elif answer.clarified:
        out.append(_choices_html(answer))
    else:
        out.append(_support_html(answer))
    out.append(_sources_html(answer) if answer.citations else _nearest_html(answer))
    return "".join(out)


def _choices_html(answer: Answer) -> str:
    """The subjects that the assistant asks back about, each a button that asks the question about it."""
    asked = answer.question.rstrip(" ?.!")
    buttons = (
        f'<li><button type="button" class="dm-starter" data-ask="{escape(f"{asked} ({subject})?")}">{escape(subject)}'
        "</button></li>"
        for subject in choices(answer.answer)
    )
    return f'<ul class="dm-starters">{"".join(buttons)}</ul>'


def error_html(message: str) -> str:
    """A sentence in place of an answer."""
    return f'<div class="dm-error"><p>{escape(sentence(message))}</p></div>'


def sentence(message: str) -> str:
    """An error's message as a sentence."""
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def tools_html(copy: str = "", failed: bool = False, judging: str = "") -> str:
    """The buttons under an answer.

    Args:
        copy: what the copy button takes.
        failed: whether there is no answer.
        judging: the thumbs, as `app.chat.feedback` renders them.
    """
    take = f'<button type="button" class="dm-tool" data-copy="{escape(copy)}">Copy</button>' if copy.strip() else ""
    return (
        f'<div class="dm-foot"><div class="dm-tools">{take}'
        f'<button type="button" class="dm-tool" data-do="retry">{"Try again" if failed else "Retry"}</button>'
        f'<button type="button" class="dm-tool" data-do="edit">Edit question</button></div>{judging}</div>'
    )


def copy_text(answer: Answer) -> str:
    """An answer as plain text with its sources listed, each once."""
    titles = _titles(answer.hits)
    lines = {f"[{c.n}] {trail(titles.get(c.doc, ''), c.heading)} ({place_of(c.doc, c.page)})" for c in answer.citations}
    return answer.answer + ("\n\nSources:\n" + "\n".join(sorted(lines)) if lines else "")


def passage_refs_html(hits: Sequence[Hit], read: Read) -> str:
    """The source panel's contents for every passage found, inert until the page shows one of them."""
    texts = {doc: read(doc) for doc in dict.fromkeys(hit.chunk.doc for hit in hits)}
    out = []
    for hit in hits:
        c = hit.chunk
        passage = Citation(hit.rank, c.doc, c.heading, c.page, c.id, c.start, c.end, c.text)
        out.append(_ref(f"p{hit.rank}", passage, c.title, texts[c.doc]))
    return "".join(out)


def citation_refs_html(answer: Answer, read: Read) -> str:
    """The same for the spans that an answer cites."""
    titles = _titles(answer.hits)
    texts = {doc: read(doc) for doc in dict.fromkeys(citation.doc for citation in answer.citations)}
    return "".join(
        _ref(f"c{number}", citation, titles.get(citation.doc, citation.doc), texts[citation.doc])
        for number, citation in enumerate(answer.citations)
    )


def whole_document_html(document: DocumentText | None, start: int, end: int) -> str:
    """A whole document with a span marked, for the panel."""
    return passage_html(document.text, start, end, around=None) if document else note_html("This document is gone.")


def _ref(key: str, citation: Citation, title: str, document: DocumentText | None) -> str:
    """One template for the panel. Where the document cannot be read or has changed since, the quote stands alone."""
    start, end = citation.start, citation.end
    whole = ""
    if document is not None and document.text[start:end] == citation.quote:
        body = passage_html(document.text, start, end)
        whole = ' data-whole="1"' if len(document.text) > len(citation.quote) else ""
    else:
        body = passage_html(citation.quote, 0, len(citation.quote)) if citation.quote else note_html(CHANGED)
    place, headings = place_of(citation.doc, citation.page), below(title, citation.heading)
    return (
        f'<template data-ref="{key}" data-n="{citation.n}" data-title="{escape(title or citation.doc)}" '
        f'data-place="{escape(place)}" data-trail="{escape(headings)}" '
        f'data-doc="{escape(citation.doc)}" data-start="{start}" data-end="{end}"{whole}>{body}</template>'
    )


def _refusal_html(answer: Answer) -> str:
    text = answer_html(answer.answer, lambda n: None)
    ask = '<button type="button" class="dm-link" data-do="talk">Talk to a person</button>'
    return f'<div class="dm-refusal"><div class="dm-text" dir="auto">{text}</div>{ask}</div>' + _nearest_html(answer)


def _support_html(answer: Answer) -> str:
    """How well the documents support an answer, in words."""
    support = support_of(answer)
    words = SUPPORT[support] + (" In the documents' own words." if answer.quoted else "")
    return f'<p class="dm-support dm-{support}">{escape(words)}</p>'


def support_of(answer: Answer) -> str:
    """Which of the words of `SUPPORT` an answer from documents gets."""
    if answer.confidence < UNSURE:
        return "unsure"
    whole = all(one.supported for one in answer.sentences)
    return "well" if whole and answer.confidence >= LIKELY else "partly"


def _nearest_html(answer: Answer) -> str:
    """What was found, for answers that cite nothing: the reader may find there what the model did not."""
    nearest = ((hit.rank, hit.chunk) for hit in answer.hits[:NEAREST])
    cards = "".join(_card(rank, f"p{rank}", chunk.title or chunk.doc, chunk.heading) for rank, chunk in nearest)
    return _cards("Closest passages", cards)


def _sources_html(answer: Answer) -> str:
    """The sources as a row of cards, one for each passage that is cited."""
    titles = _titles(answer.hits)
    first: dict[int, int] = {}
    for number, citation in enumerate(answer.citations):
        first.setdefault(citation.n, number)
    cited = ((n, number, answer.citations[number]) for n, number in sorted(first.items()))
    return _cards("Sources", "".join(_card(n, f"c{at}", titles.get(c.doc, c.doc), c.heading) for n, at, c in cited))


def _cards(label: str, cards: str) -> str:
    return f'<h3 class="dm-label">{label}</h3><ul class="dm-cards">{cards}</ul>' if cards else ""


def _card(n: int, key: str, title: str, heading: str) -> str:
    last = below(title, heading).split(" › ")[-1]
    under = f"<small>{escape(last)}</small>" if last else ""
    return (
        f'<li><button type="button" class="dm-card" data-ref="{key}"><b>{n}</b>'
        f"<span><span>{escape(title)}</span>{under}</span></button></li>"
    )


def _chips(answer: Answer) -> Callable[[int], str | None]:
    """Citations for an answer's markers. The second [1] in the text points to the second span cited from passage 1."""
    titles = _titles(answer.hits)
    keys = {(c.n, c.start, c.end): number for number, c in enumerate(answer.citations)}
    cited: dict[int, list[Citation]] = {}
    for sentence in answer.sentences:
        for citation in sentence.citations:
            cited.setdefault(citation.n, []).append(citation)
    for citation in answer.citations:
        cited.setdefault(citation.n, [citation])
    seen: dict[int, int] = {}

    def chip(n: int) -> str | None:
        if n not in cited:
            return None
        at = seen[n] = seen.get(n, -1) + 1
        citation = cited[n][min(at, len(cited[n]) - 1)]
        key = keys.get((n, citation.start, citation.end))
        return _chip(n, f"p{n}" if key is None else f"c{key}", titles.get(citation.doc, citation.doc), citation.heading)

    return chip


def _chip(n: int, key: str, title: str, heading: str) -> str:
    where = escape(trail(title, heading))
    return (
        f'<button type="button" class="dm-chip" data-ref="{key}" title="{where}" '
        f'aria-label="Source {n}: {where}">{n}</button>'
    )


def _titles(hits: Sequence[Hit]) -> dict[str, str]:
    return {hit.chunk.doc: hit.chunk.title or hit.chunk.doc for hit in hits}


def below(title: str, heading: str) -> str:
    """The heading trail without the title in front."""
    return heading[len(title) :].removeprefix(" › ") if title and heading.startswith(title) else heading


def place_of(doc: str, page: int | None) -> str:
    """A document's path, with the page where it has pages."""
    return f"{doc}, page {page}" if page else doc


def count_of(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def note_html(text: str) -> str:
    """A quiet line under an answer, or in its place."""
    return f'<p class="dm-note">{escape(text)}</p>'
