"""What was searched, as HTML: the passages with their scores, and the times. Pure functions; everything is escaped."""

from app.answering.answer import Answer
from app.web.pages import MODES, below, count_of, escape, place_of, support_of
from retrieval.records import Hit


def details_html(answer: Answer) -> str:
    """What was searched, how it scored and how long everything took."""
    rows = "".join(_row(hit) for hit in answer.hits)
    table = (
        '<div class="dm-scroll" tabindex="0" role="region" aria-label="Passages found"><table><thead><tr>'
        '<th class="dm-num">#</th><th>Passage</th><th class="dm-num" title="The score that ranks it">Score</th>'
        '<th class="dm-num" title="Cosine of the embeddings">Cosine</th>'
        '<th class="dm-num" title="Score of the word search">BM25</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else '<p class="dm-muted">No documents were searched.</p>'
    )
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _facts(answer))
    found = f"{count_of(len(answer.hits), 'passage')} · " if rows else ""
    return (
        '<details class="dm-search"><summary>What was searched '
        f'<span class="dm-muted">{found}{_seconds(answer.timing.total_ms)}</span></summary>'
        f"{table}<dl>{facts}</dl>{_support(answer)}</details>"
    )


def _support(answer: Answer) -> str:
    """What the words beside the answer mean."""
    if answer.generation is None or answer.refused or answer.clarified or answer.corrected:
        return ""
    held = (
        "Every sentence was found in the passages it names."
        if all(one.supported for one in answer.sentences)
        else "Not every sentence was found in the passages; those are marked."
    )
    near = {
        "well": "The passages are close to the question, and answers like this one are right more often than not.",
        "partly": "Answers like this one are sometimes wrong: read the source before you rely on it.",
        "unsure": "The passages are not close to the question, so this may be about something else.",
    }[support_of(answer)]
    return f'<p class="dm-muted">{held} {near}</p>'


def _row(hit: Hit) -> str:
    def figure(value: float | None) -> str:
        return f'<td class="dm-num">{"–" if value is None else f"{value:.3f}"}</td>'

    chunk = hit.chunk
    under = " · ".join(part for part in (place_of(chunk.doc, chunk.page), below(chunk.title, chunk.heading)) if part)
    return (
        f'<tr><td class="dm-num">{hit.rank}</td><td><button type="button" class="dm-link" data-ref="p{hit.rank}">'
        f"{escape(chunk.title or chunk.doc)}</button><small>{escape(under)}</small></td>"
        f"{figure(hit.score)}{figure(hit.dense)}{figure(hit.bm25)}</tr>"
    )


def _facts(answer: Answer) -> list[tuple[str, str]]:
    timing, usage = answer.timing, answer.usage
    facts = [("Mode", MODES[answer.mode].label), ("Model", answer.model)]
    if answer.adapter:
        facts.append(("Adapter", f"{answer.adapter}, {answer.stale}" if answer.stale else answer.adapter))
    if answer.generation:
        facts += [("Index", answer.generation), ("Right, by estimate", f"about {answer.confidence * 10:.0f} in 10")]
        facts.append(("Search", _seconds(timing.retrieval_ms)))
    if usage.completion_tokens:
        facts.append(("First word", _seconds(timing.first_token_ms)))
        facts.append(("Tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"))
    return [*facts, ("Total", _seconds(timing.total_ms))]


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
