"""The pages on documents as HTML: the list with the place to drop files, and one document as the model sees it.

Pure functions, everything that comes from outside escaped. They show texts that they are given; who may read which is
decided in `app.staff.documents`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from app.loop.sources import Pending
from app.staff.frame import badge, empty, figures, filters, lead, notice, when_html
from app.staff.loop import scripts
from app.web.pages import count_of, escape
from ingest.records import Chunk, embedded_text
from ingest.scan import READ
from retrieval.chunks import DocumentState

LISTED = 100
"""Documents on one page of the list, and chunks on one page of a document."""

SHOWN = {"all": "All", "indexed": "Indexed", "unread": "Not read", "uploaded": "Uploaded", "pending": "Changed on disk"}
"""What the list can be narrowed to."""


@dataclass(frozen=True, slots=True)
class Row:
    """A document in the list. `readable`: by whoever looks; `pending`: new, changed or gone on disk, or empty.

    `touched` is when its file was last changed, None where it is not there.
    """

    state: DocumentState
    readable: bool
    uploaded: bool
    pending: str
    touched: float | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows: the rows that match, and how many there are of each kind."""

    rows: Sequence[Row]
    counts: dict[str, int]
    shown: str
    search: str
    page: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What stands above the list. `generation` and `created` are empty before the first ingest."""

    documents: int
    chunks: int
    unread: int
    generation: str
    created: str
    pending: Pending
    stale: Sequence[tuple[str, str]]
    sources: int


@dataclass(frozen=True, slots=True)
class Uploading:
    """What the place to drop files must know: groups to choose from, bytes of the largest file."""

    groups: Sequence[str]
    largest: int


def documents_body(overview: Overview, listing: Listing, uploading: Uploading, job: tuple[str, bool]) -> str:
    """The page with all documents; `job` is the card of what runs or ran, or empty, and whether anything runs."""
    news, busy = job
    return (
        lead("What answers rest on. Text is shown to those who may read it; the others see that it is there.")
        + news
        + _news(overview)
        + _figures(overview)
        + _again(overview.sources, busy)
        + upload_form(uploading, busy)
        + _list(listing)
        + '<p class="ds-small"><a href="/staff/jobs">What ran beside the chat</a></p>'
        + scripts()
    )


def _figures(overview: Overview) -> str:
    made = ""
    if overview.created:
        made = f"{datetime.fromisoformat(overview.created):%d %B %Y, %H:%M} UTC".lstrip("0")
    return figures(
        [
            ("Documents", f"{overview.documents:,}", ""),
            ("Chunks", f"{overview.chunks:,}", "the passages that are searched"),
            ("Not read", f"{overview.unread:,}", "quarantined, each with its reason"),
            ("Index", overview.generation or "none", made or "nothing was ingested yet"),
        ]
    )


def _again(sources: int, busy: bool) -> str:
    """The button that brings the index up to date with everything that was ever ingested."""
    if not sources or busy:
        return ""
    what = f"{count_of(sources, 'place')} that documents came from. What has not changed costs nothing."
    return (
        '<form method="post" action="/staff/documents/ingest" class="ds-actions"><button class="ds-button">'
        f'Read everything again</button><span class="ds-small">{what}</span></form>'
    )


def _news(overview: Overview) -> str:
    """What should be done: documents to read again, adapters that know an older version."""
    out = []
    if overview.pending:
        out.append(notice(f"On disk and not in the index: {overview.pending}.", "warn"))
    for adapter, stale in overview.stale:
        out.append(notice(f"The adapter {adapter} is {stale}.", "warn"))
    return "".join(out)


def upload_form(uploading: Uploading, busy: bool) -> str:
    """Where files are dropped or chosen, with who may read them."""
    kinds = ",".join(sorted(READ))
    most = f"{uploading.largest / 2**20:g} MiB"
    later = "<small>Something runs just now; they are taken in when you start that afterwards.</small>" if busy else ""
    return (
        '<section class="ds-card"><h2 id="dl-upload">Add documents</h2>'
        '<form method="post" action="/staff/documents/upload" enctype="multipart/form-data" class="dl-form" '
        f'aria-labelledby="dl-upload" data-upload data-largest="{uploading.largest}">'
        '<label class="dl-drop"><span><b>Drop files here</b>, or choose them</span>'
        f"<small>PDF, Word, PowerPoint, Excel, mail, HTML, Markdown, text, CSV; {most} each at most</small>"
        f'<input type="file" name="file" multiple required accept="{kinds}"></label>'
        f"{_readers(uploading.groups)}"
        '<label class="ds-check"><input type="checkbox" name="replace" value="1"><span>Replace documents of the same '
        "name</span></label>"
        f'<div class="ds-actions"><button class="ds-button ds-primary">Upload</button>{later}</div>'
        '<ul class="dl-files" aria-live="polite"></ul></form></section>'
    )


def _readers(groups: Sequence[str]) -> str:
    """Who may read what is uploaded: everyone, or groups that the uploader is in."""
    if not groups:
        return (
            '<p class="ds-small">Everyone may read them: you are in no group.</p>'
            '<input type="hidden" name="access" value="everyone">'
        )
    boxes = "".join(
        f'<label class="ds-check"><input type="checkbox" name="access" value="{escape(group)}">'
        f"<span>{escape(group)}</span></label>"
        for group in groups
    )
    return (
        '<fieldset class="ds-field"><legend>Who may read them</legend><div class="dl-choices">'
        '<label class="ds-check"><input type="checkbox" name="access" value="everyone" checked><span>Everyone</span>'
        f"</label>{boxes}</div><small>Without “Everyone”, only the groups that are ticked.</small></fieldset>"
    )


def _list(listing: Listing) -> str:
    def address(**changes: str | int) -> str:
        asked = {"show": listing.shown, "q": listing.search, "page": 1} | changes
        return "/staff/documents?" + urlencode({key: value for key, value in asked.items() if value not in ("", 1)})

    narrow = filters(
        "Which documents",
        [
            (label, address(show=key), key == listing.shown, listing.counts[key])
            for key, label in SHOWN.items()
            if listing.counts[key] or key in ("all", listing.shown)
        ],
    )
    search = (
        '<form method="get" action="/staff/documents" class="dl-search" role="search">'
        f'<input type="hidden" name="show" value="{escape(listing.shown)}">'
        f'<input class="ds-input" type="search" name="q" value="{escape(listing.search)}" '
        'aria-label="Search in names and titles" placeholder="Search in names and titles">'
        '<button class="ds-button">Search</button></form>'
    )
    first = (listing.page - 1) * LISTED
    rows = listing.rows[first : first + LISTED]
    if not rows:
        missing = empty("No such document", "Nothing matches; try another word, or show all of them.")
        return narrow + search + missing
    body = "".join(map(_row, rows))
    head = "".join(
        f"<th{more}>{name}</th>"
        for name, more in (
            ("Document", ""),
            ("State", ""),
            ("Chunks", ' class="ds-number dl-wide"'),
            ("Pages", ' class="ds-number dl-wide"'),
            ("Read by", ' class="dl-wide"'),
            ("File of", ' class="dl-wide"'),
            ("SHA-256", ' class="dl-wide"'),
        )
    )
    table = (
        '<div class="ds-card ds-scroll dl-table"><table><caption class="dm-hidden">Documents</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return narrow + search + table + pager(len(listing.rows), listing.page, lambda n: address(page=n))


def _row(row: Row) -> str:
    state = row.state
    title = state.title if row.readable and state.title != state.doc else ""
    under = f'<small dir="auto">{escape(title)}</small>' if title else ""
    if state.reason is not None:
        under += f'<small class="dl-why">{escape(state.reason)}</small>'
    touched = when_html(row.touched, time.time()) if row.touched is not None else "—"
    return (
        f'<tr><td><a href="{escape(document_address(state.doc))}">{escape(state.doc)}</a>{under}</td>'
        f"<td>{_state(row)}</td>"
        f'<td class="ds-number dl-wide">{state.chunks:,}</td>'
        f'<td class="ds-number dl-wide">{state.pages or "—"}</td>'
        f'<td class="dl-wide">{escape(", ".join(sorted(state.access)) or "nobody")}</td>'
        f'<td class="dl-wide">{touched}</td>'
        f'<td class="dl-wide"><code>{escape(state.sha256[:8]) or "—"}</code></td></tr>'
    )


def _state(row: Row) -> str:
    state = badge("not read", "bad") if row.state.reason is not None else badge("indexed", "good")
    words = {"changed": "changed on disk", "gone": "gone from disk"}
    return state + (f" {badge(words[row.pending], 'warn')}" if row.pending else "")


def document_address(doc: str, page: int = 1) -> str:
    """Where a document's page is."""
    return "/staff/document?" + urlencode({"doc": doc, **({"page": page} if page > 1 else {})})


def pager(total: int, page: int, address: Callable[[int], str]) -> str:
    """Links to the page before and after, where there are several."""
    pages = -(-total // LISTED)
    if pages < 2:
        return ""
    links = [f"<span>Page {page} of {pages}</span>"]
    if page > 1:
        links.insert(0, f'<a class="ds-button" rel="prev" href="{escape(address(page - 1))}">Before</a>')
    if page < pages:
        links.append(f'<a class="ds-button" rel="next" href="{escape(address(page + 1))}">Next</a>')
    return f'<nav class="ds-actions" aria-label="Pages">{"".join(links)}</nav>'


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk with the tokens of what is embedded of it, counted by the embedder."""

    chunk: Chunk
    tokens: int


def document_body(row: Row, passages: Sequence[Passage], window: int, page: int, stale: Sequence[str]) -> str:
    """One document: what is known of it, and its chunks as the models see them.

    Args:
        row: the document.
        passages: its chunks on this page; none where whoever looks may not read them.
        window: tokens that the embedder reads.
        page: which page of the chunks.
        stale: adapters that were tuned on another version of it.
    """
    state = row.state
    facts = [
        ("Chunks", f"{state.chunks:,}", ""),
        ("Pages", f"{state.pages:,}" if state.pages else "—", "" if state.pages else "its format has none"),
        ("Read by", ", ".join(sorted(state.access)) or "nobody", ""),
        ("Text", f"{state.characters:,}" if row.readable else "—", "characters" if row.readable else ""),
    ]
    head = f'<div class="ds-meta">{_state(row)}<span>{escape(state.doc)}</span>'
    if row.touched is not None:
        head += f"<span>file of {when_html(row.touched, time.time())}</span>"
    head += f'<span>SHA-256 <code title="{escape(state.sha256)}">{escape(state.sha256[:12]) or "—"}</code></span></div>'
    out = [head]
    if state.reason is not None:
        out.append(notice(f"It could not be read: {state.reason}.", "bad"))
    out += [notice(f"The adapter {name} was tuned on another version of it.", "warn") for name in stale]
    out.append(figures(facts))
    if state.reason is None:
        out.append(_passages(row, passages, window, page))
    if row.uploaded:
        out.append(_delete(state.doc))
    out.append('<p><a href="/staff/documents">All documents</a></p>')
    return "".join(out) + scripts()


def _passages(row: Row, passages: Sequence[Passage], window: int, page: int) -> str:
    if not row.readable:
        readers = " or ".join(sorted(row.state.access))
        return empty("Its text is not for you", f"It is read by {readers}, and you are in none of these groups.")
    first = (page - 1) * LISTED
    items = "".join(_passage(first + number, one) for number, one in enumerate(passages, start=1))
    return (
        '<section class="ds-stack"><h2>As the model sees it</h2><p class="ds-small">Title, headings '
        f"and text are searched together. The embedder reads {window:,} tokens at most.</p>"
        f'<ol class="ds-list dl-chunks" start="{first + 1}">{items}</ol>'
        f"{pager(row.state.chunks, page, lambda n: document_address(row.state.doc, n))}</section>"
    )


def _passage(number: int, passage: Passage) -> str:
    chunk = passage.chunk
    head = embedded_text(chunk.title, chunk.heading, "").rstrip("\n")
    place = f"page {chunk.page} · " if chunk.page else ""
    return (
        f'<li id="chunk-{number}"><p class="ds-label">{number} · {place}{count_of(passage.tokens, "token")} · '
        f"characters {chunk.start:,} to {chunk.end:,} · <code>{escape(chunk.id)}</code></p>"
        f'<p class="dl-head" dir="auto">{escape(head)}</p><p class="dl-text" dir="auto">{escape(chunk.text)}</p></li>'
    )


def _delete(doc: str) -> str:
    return (
        '<details class="ds-card"><summary>Delete this document…</summary>'
        '<form method="post" action="/staff/documents/delete" class="ds-stack">'
        f'<input type="hidden" name="doc" value="{escape(doc)}">'
        "<p>The file is deleted for good and taken out of the index. Answers that rest on it are not shown any "
        "more, and adapters that were tuned on it are not served where the settings say so.</p>"
        '<div class="ds-actions"><button class="ds-button ds-danger">Delete it</button></div></form></details>'
    )


def uploaded_body(taken: Sequence[str], refused: Sequence[str], note: str) -> str:
    """What became of an upload, for browsers without script."""
    out = [notice(f"Uploaded: {', '.join(taken)}. {note}".strip()) if taken else ""]
    out += [notice(why, "bad") for why in refused]
    return "".join(out) + '<p><a class="ds-button" href="/staff/documents">To the documents</a></p>'
