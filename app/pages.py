"""The pieces of HTML that the chat shows. Pure functions; every text from a document, model or person is escaped."""

import html
from collections.abc import Sequence
from urllib.parse import urlencode

from app.answer import Answer, Mode
from finetune.voice import Voice
from ingest.records import Chunk
from retrieval.chunks import DocumentText
from retrieval.records import Hit

LABELS = {
    Mode.HYBRID: ("Tuned + documents", "The tuned model, reading what was found in the documents."),
    Mode.RAG_ONLY: ("Documents + model", "The model, reading what was found in the documents."),
    Mode.TUNE_ONLY: ("Tuned model alone", "The tuned model without the documents. Nothing it says is checked."),
    Mode.PROMPT_ONLY: ("Model alone", "The model without the documents. Nothing it says is checked."),
}
"""What people call the modes."""

NEAREST = 3
"""Passages shown below a refusal."""


def answer_page(answer: Answer, voice: Voice) -> str:
    """A finished answer: its sentences with citation links, its notes, and what was searched."""
    body = _refusal(answer) if answer.refused else _sentences(answer, voice)
    note = ""
    if not answer.answer:
        note = _note("Stopped before the first word.")
    elif answer.generation is None:
        note = _note("Answered without the documents: nothing here has been checked.")
    elif any(not sentence.supported for sentence in answer.sentences):
        note = _note("What is underlined was not found in the sources. Please check it before you rely on it.")
    return f'<div class="dm-answer">{body}{note}{_details(answer)}</div>'


def pending_page(state: str) -> str:
    """What is going on before the first word."""
    return f'<div class="dm-answer dm-pending"><span class="dm-pulse"></span>{html.escape(state)}</div>'


def streaming_page(text: str) -> str:
    """An answer while it is being written: nothing has been checked yet, so nothing is linked."""
    return f'<div class="dm-answer dm-writing">{_lines(text)}</div>'


def error_page(message: str) -> str:
    """A plain sentence in place of an answer."""
    return f'<div class="dm-answer dm-error">{_lines(message)}</div>'


def source_page(document: DocumentText, start: int, end: int, around: int = 6000) -> str:
    """A document with one span highlighted, cut to its surroundings when it is long.

    Args:
        document: its normalised text.
        start: the first character of the span; out of range shows the beginning without a highlight.
        end: the first character behind it.
        around: characters shown before and behind the span.
    """
    text = document.text
    valid = 0 <= start < end <= len(text)
    start, end = (start, end) if valid else (0, 0)
    first, last = max(0, start - around), min(len(text), end + around)
    before, span, after = text[first:start], text[start:end], text[end:last]
    mark = f'<mark id="dm-span" tabindex="-1">{html.escape(span)}</mark>' if valid else ""
    return (
        f'<h2 id="dm-source-title">{html.escape(document.title or document.doc)}</h2>'
        f'<p class="dm-path">{html.escape(document.doc)}</p>'
        f'<div class="dm-text">{"…" if first else ""}{html.escape(before)}{mark}{html.escape(after)}'
        f"{'…' if last < len(text) else ''}</div>"
    )


def welcome_page(title: str, documents: int) -> str:
    """The empty screen."""
    known = f"{documents} document{'' if documents == 1 else 's'}"
    return (
        f'<div class="dm-welcome"><h2>{html.escape(title)}</h2>'
        f"<p>Ask in your own words. The answer comes from {known}, and every claim links to its source.</p></div>"
    )


def header_page(title: str, documents: int, model: str) -> str:
    """The top of the page."""
    return (
        '<div class="dm-header"><svg class="dm-logo" viewBox="0 0 32 32" aria-hidden="true">'
        '<rect x="2" y="4" width="28" height="20" rx="6"/><path d="M10 24v6l7-6z"/>'
        '<path class="dm-lines" d="M9 11h14M9 17h9"/></svg>'
        f"<h1>{html.escape(title)}</h1><span>{documents} documents · {html.escape(model)}</span></div>"
    )


def _sentences(answer: Answer, voice: Voice) -> str:
    """The answer's text; each sentence's markers become links to its own quotes."""
    out: list[str] = []
    position = 0
    for sentence in answer.sentences:
        start = answer.answer.find(sentence.text, position)
        if start < 0:
            continue
        out.append(html.escape(answer.answer[position:start]))
        piece = html.escape(sentence.text)
        for citation in sentence.citations:
            label = f"Source {citation.n}: {citation.doc}"
            link = _link(citation.doc, citation.start, citation.end, str(citation.n), label, "dm-cite")
            piece = piece.replace(html.escape(voice.cite(citation.n)), link)
        unchecked = answer.generation is not None and not sentence.supported
        out.append(
            f'<span class="dm-unsupported" title="Not found in the sources">{piece}</span>' if unchecked else piece
        )
        position = start + len(sentence.text)
    out.append(html.escape(answer.answer[position:]))
    return _paragraphs("".join(out))


def _refusal(answer: Answer) -> str:
    links = "".join(f"<li>{_passage_link(hit.chunk)}</li>" for hit in answer.hits[:NEAREST])
    nearest = f'<p class="dm-small">Closest passages</p><ul class="dm-nearest">{links}</ul>' if links else ""
    return f'<div class="dm-refusal">{_lines(answer.answer)}</div>{nearest}'


def _passage_link(chunk: Chunk) -> str:
    label = " › ".join(part for part in (chunk.title or chunk.doc, chunk.heading) if part)
    return _link(chunk.doc, chunk.start, chunk.end, label, f"Open {label}", "dm-passage")


def _link(doc: str, start: int, end: int, text: str, label: str, kind: str) -> str:
    """A link that the page's script opens in the panel: it leads to a source and nowhere else."""
    target = "#source?" + urlencode({"doc": doc, "start": start, "end": end})
    return (
        f'<a class="{kind}" href="{html.escape(target)}" title="{html.escape(label)}" '
        f'aria-label="{html.escape(label)}">{html.escape(text)}</a>'
    )


def _details(answer: Answer) -> str:
    """What was searched: passages with scores, and times."""
    took = answer.timing
    facts = [LABELS[answer.mode][0], answer.model]
    if answer.generation:
        facts.append(f"searched in {took.retrieval_ms:.0f} ms")
    if took.first_token_ms:
        facts.append(f"first word after {took.first_token_ms / 1000:.1f} s")
    facts.append(f"{took.total_ms / 1000:.1f} s in all")
    if answer.usage.prompt_tokens:
        facts.append(f"{answer.usage.prompt_tokens} tokens read, {answer.usage.completion_tokens} written")
    table = _hits_table(answer.hits) if answer.hits else ""
    return (
        f'<details class="dm-details"><summary>What was searched</summary><p>{html.escape(" · ".join(facts))}</p>{table}'
        "</details>"
    )


def _hits_table(hits: Sequence[Hit]) -> str:
    rows = "".join(
        f"<tr><td>{hit.rank}</td><td>{_passage_link(hit.chunk)}</td><td>{hit.score:.3f}</td>"
        f"<td>{_number(hit.dense, 3)}</td><td>{_number(hit.bm25, 1)}</td></tr>"
        for hit in hits
    )
    return (
        "<table><thead><tr><th>#</th><th>passage</th><th>score</th><th>cosine</th><th>BM25</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _note(text: str) -> str:
    return f'<p class="dm-note">{html.escape(text)}</p>'


def _lines(text: str) -> str:
    return _paragraphs(html.escape(text))


def _paragraphs(escaped: str) -> str:
    """Blank lines part paragraphs. No newline is left: the chat would take what follows for Markdown."""
    blocks = [block.strip().replace("\n", "<br>") for block in escaped.split("\n\n") if block.strip()]
    return "".join(f"<p>{block}</p>" for block in blocks)
