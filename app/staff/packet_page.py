"""A conversation as the help desk reads it, with the passages behind it, as HTML; all of it escaped.

An answer that rests on documents which the reader may not read is there, but neither its text nor its passages.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from app.accounts.holdings import Holdings, Rests
from app.staff.frame import badge
from app.staff.packets import Packet, Source, Turned
from app.web.markup import answer_html, passage_html
from app.web.pages import below, escape, place_of
from finetune.curation.pii import KINDS
from retrieval.chunks import DocumentText

AROUND = 160
"""Characters of a document shown around a passage that is cited."""

_MASKED = re.compile("|".join(f"<{kind}>" for kind in KINDS))

WITHHELD = "This answer rests on documents that you may not read, or that are gone, so it is not shown to you."

Document = Callable[[str, frozenset[str]], DocumentText | None]
"""A document's text for somebody in some groups; None where there is none for them."""


class Reader:
    """Somebody of the help desk, and what they may read."""

    def __init__(self, groups: frozenset[str], holdings: Holdings, document: Document) -> None:
        self._groups = groups
        self._holdings = holdings
        self._document = document

    def may_see(self, rests: Rests) -> bool:
        """Whether they may see what rests on some documents."""
        return self._holdings.may_read(rests, self._groups)

    def passage(self, source: Source, rests: Rests) -> str:
        """A passage in its document, with what is cited marked; alone where the document has changed."""
        document = self._document(source.doc, self._groups)
        version = rests.docs.get(source.doc)
        same = version is not None and self._holdings.unchanged(Rests({source.doc: version}))
        if document is None or not same or not _stands_there(source, document):
            return passage_html(source.quote, 0, len(source.quote))
        return passage_html(document.text, source.start, source.end, around=AROUND)

    def title(self, doc: str) -> str:
        """What a document is called."""
        document = self._document(doc, self._groups)
        return document.title if document and document.title else doc


def talk_html(packet: Packet, reader: Reader, last: str = "") -> str:
    """The questions and answers of a packet; `last` is HTML above the last answer, such as a badge."""
    if not packet.exchanges:
        return '<p class="dm-muted">Nothing was asked of the assistant before.</p>'
    newest = packet.exchanges[-1]
    return "".join(_turn(one, reader, last if one is newest else "") for one in packet.exchanges)


def passages_html(packet: Packet, reader: Reader) -> str:
    """The passages that the answers cite, as far as the reader may see them."""
    hidden = any(one.sources and not reader.may_see(one.rests) for one in packet.exchanges)
    note = f'<p class="ds-small">{WITHHELD}</p>' if hidden else ""
    seen = [one for one in packet.exchanges if one.sources and reader.may_see(one.rests)]
    if not seen:
        return note or '<p class="ds-small">The answers cite no passage.</p>'
    *earlier, last = ("".join(_passages(one, reader)) for one in seen)
    more = (
        f'<details><summary>Of earlier answers</summary><ul class="ds-passages">{"".join(earlier)}</ul></details>'
        if earlier
        else ""
    )
    return f'{note}<ul class="ds-passages">{last}</ul>{more}'


def masked_html(packet: Packet) -> str:
    """How much personal data was taken out, in a word; nothing where there was none."""
    number = sum(packet.masked.values())
    return f'<p class="ds-small">Personal data taken out: {number}</p>' if number else ""


def _stands_there(source: Source, document: DocumentText) -> bool:
    """Whether a document says at a passage's place what was cited; a new parser may read the same file otherwise."""
    text, at = document.text[source.start : source.end], 0
    parts = _MASKED.split(source.quote)
    for part in parts:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text.startswith(parts[0]) and text.endswith(parts[-1])


def _turn(one: Turned, reader: Reader, above: str) -> str:
    question = f'<div class="ds-asked"><p dir="auto">{escape(one.question)}</p></div>'
    if not reader.may_see(one.rests):
        return f'{question}<div class="ds-said ds-hidden">{above}<p>{WITHHELD}</p></div>'
    sure = "" if one.refused else f'<span class="ds-small">confidence {one.confidence:.0%}</span>'
    state = badge("declined", "warn") if one.refused else ""
    text = answer_html(one.answer, lambda n: _chip(one, n)) if one.answer.strip() else "<p>(an empty answer)</p>"
    return (
        f'{question}<div class="ds-said">{above}<div class="ds-text dm-text" dir="auto">{text}</div>'
        f'<p class="ds-meta">Assistant {state}{sure}</p></div>'
    )


def _chip(one: Turned, n: int) -> str | None:
    if all(source.n != n for source in one.sources):
        return None
    return f'<a class="ds-chip" href="#s{one.exchange}-{n}" aria-label="Passage {n}">{n}</a>'


def _passages(one: Turned, reader: Reader) -> Iterator[str]:
    for n in sorted({source.n for source in one.sources}):
        cited = [source for source in one.sources if source.n == n]
        yield passage_item(f"s{one.exchange}-{n}", n, cited, reader, one.rests)


def passage_item(anchor: str, n: int, cited: Sequence[Source], reader: Reader, rests: Rests) -> str:
    """One passage in the list beside a conversation."""
    first = cited[0]
    title = reader.title(first.doc)
    under = below(title, first.heading)
    texts = "".join(
        f'<div class="ds-document" dir="auto">{reader.passage(source, rests)}</div>'
        for source in {(source.start, source.end): source for source in cited}.values()
    )
    return (
        f'<li id="{anchor}" tabindex="-1"><p class="ds-source"><b>{n}</b><span><strong>{escape(title)}</strong>'
        f"{f'<span>{escape(under)}</span>' if under else ''}<small>{escape(place_of(first.doc, first.page))}</small>"
        f"</span></p>{texts}</li>"
    )
