"""One question in four modes, side by side, as HTML: pure functions, everything that comes from outside escaped."""

from collections.abc import Sequence

from app.answering.answer import Answer
from app.answering.modes import Mode
from app.staff.frame import badge, lead
from app.staff.loop import scripts
from app.web.markup import answer_html, plain
from app.web.pages import MODES, below, count_of, escape, place_of, trail
from retrieval.records import Hit

LONGEST = 8_000
"""Characters of a question, as the search has it."""

FOUND = 5
"""Passages that are listed below an answer."""


def compare_body(question: str, columns: Sequence[tuple[Mode, str]], filled: bool) -> str:
    """The page.

    Args:
        question: as asked before, or empty.
        columns: the modes in their order, each with its contents.
        filled: whether they have been answered.
    """
    form = (
        '<form method="post" action="/staff/compare" class="ds-card dl-form" data-compare>'
        '<div class="ds-field"><label for="dl-question">Question</label>'
        f'<textarea id="dl-question" name="question" rows="2" required maxlength="{LONGEST}" dir="auto">'
        f"{escape(question)}</textarea></div>"
        '<div class="ds-actions"><button class="ds-button ds-primary">Ask all four</button>'
        '<span class="ds-small">One after the other, as you would be answered; nothing is kept.</span></div></form>'
    )
    shown = "".join(
        f'<section class="ds-card" aria-labelledby="m-{mode}"><h2 id="m-{mode}">{MODES[mode].label}</h2>'
        f'<p class="ds-small">{MODES[mode].note}</p>'
        f'<div class="dl-answer" data-mode="{mode}" aria-live="polite">{body}</div></section>'
        for mode, body in columns
    )
    return (
        lead("What documents and tuning each change: the same question with and without them.")
        + form
        + f'<div class="dl-modes"{"" if filled else " hidden"}>{shown}</div>'
        + scripts()
    )


def column_html(answer: Answer) -> str:
    """An answer with its passages and figures, for one column."""
    marks = []
    if answer.corrected:
        marks.append(badge("the help desk's own answer", "good"))
    if answer.refused:
        marks.append(badge("declined", "warn"))
    if answer.quoted:
        marks.append(badge("in the documents' words"))
    if answer.stale:
        marks.append(badge("stale adapter", "warn"))
    titles = {hit.chunk.doc: hit.chunk.title or hit.chunk.doc for hit in answer.hits}
    prefix = f"s-{answer.mode}"
    cited = {citation.n for citation in answer.citations}

    def chip(n: int) -> str | None:
        if n not in cited:
            return None
        return f'<a class="dl-chip" href="#{prefix}-{n}" aria-label="Source {n}">{n}</a>'

    doubtful = [one.text for one in answer.sentences if not one.supported] if answer.generation else []
    text = answer_html(answer.answer, chip, doubtful) if answer.answer.strip() else "<p>(an empty answer)</p>"
    return (
        (f'<div class="ds-meta">{"".join(marks)}</div>' if marks else "")
        + f'<div class="dm-text" dir="auto">{text}</div>{_sources(answer, prefix, titles)}{_found(answer.hits)}'
        + _figures(answer)
    )


def missing_html(why: str) -> str:
    """Why a mode has no answer."""
    return f'<p class="ds-small">{escape(why[:1].upper() + why[1:])}.</p>'


def _sources(answer: Answer, prefix: str, titles: dict[str, str]) -> str:
    """What is cited, with the words that bear the answer out."""
    items = []
    anchored: set[int] = set()
    for citation in answer.citations:
        anchor = "" if citation.n in anchored else f' id="{prefix}-{citation.n}"'
        anchored.add(citation.n)
        where = escape(trail(titles.get(citation.doc, citation.doc), citation.heading))
        items.append(
            f'<li{anchor} tabindex="-1"><b>{citation.n}</b><div><span>{where}</span>'
            f"<small>{escape(place_of(citation.doc, citation.page))}</small>"
            f'<blockquote dir="auto">{escape(plain(citation.quote))}</blockquote></div></li>'
        )
    if not items:
        return ""
    return f'<p class="ds-label">Cited</p><ul class="dl-sources">{"".join(items)}</ul>'


def _found(hits: Sequence[Hit]) -> str:
    """The passages that the search gave, best first."""
    items = "".join(
        f"<li><span>{escape(hit.chunk.title or hit.chunk.doc)}</span> "
        f"<small>{escape(below(hit.chunk.title, hit.chunk.heading) or hit.chunk.doc)} · {hit.score:.2f}</small></li>"
        for hit in hits[:FOUND]
    )
    summary = f"{count_of(len(hits), 'passage')} found"
    return f"<details><summary>{summary}</summary><ol class='dl-found'>{items}</ol></details>" if hits else ""


def _figures(answer: Answer) -> str:
    timing, usage = answer.timing, answer.usage
    rows = [
        ("Confidence", f"{100 * answer.confidence:.0f}\u00a0%"),
        ("Search", f"{timing.retrieval_ms:,.0f} ms" if answer.generation else "none"),
        ("First word", f"{timing.first_token_ms / 1000:.1f} s"),
        ("Whole answer", f"{timing.total_ms / 1000:.1f} s"),
        ("Tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"),
        ("Model", f"{answer.model}{f' with {answer.adapter}' if answer.adapter else ''}"),
    ]
    items = "".join(f"<div><dt>{label}</dt><dd>{escape(value)}</dd></div>" for label, value in rows)
    return f'<dl class="dl-figures">{items}</dl>'
