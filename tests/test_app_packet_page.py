import pytest

from app.accounts.holdings import Rests
from app.staff.packet_page import WITHHELD, Reader, masked_html, passages_html, talk_html
from app.staff.packets import Packet, Source, Turned, packet_json, read_packet
from retrieval.chunks import DocumentText, DocumentVersion

TEXT = "The desk. Call +31 10 555 0142 at once, day or night. Nothing else."


class Shelf:
    """One document, which some may read, and which may have changed."""

    def __init__(self, readable: bool = True, unchanged: bool = True) -> None:
        self.readable, self.same = readable, unchanged

    def may_read(self, rests: Rests, groups: frozenset[str]) -> bool:
        return self.readable or not rests.docs

    def unchanged(self, rests: Rests) -> bool:
        return self.same


def packet(quote: str = "Call <phone> at once, day or night.", answer: str = "Call <phone> <b>now</b> [1].") -> Packet:
    source = Source(1, "it/desk.md", "Desk › Calls", 3, 10, 53, quote)
    turned = Turned(
        7,
        "Whom <i>do</i> I call?",
        answer,
        False,
        0.71,
        Rests({"it/desk.md": DocumentVersion("aa", frozenset({"it"}))}),
        (source,),
    )
    return Packet("", (turned,), {"phone": 2})


def reader(shelf: Shelf) -> Reader:
    return Reader(frozenset(), shelf, lambda doc, groups: DocumentText(doc, "Desk", TEXT))  # type: ignore[arg-type]


def test_a_packet_survives_the_database() -> None:
    assert read_packet(packet_json(packet())) == packet()


def test_a_conversation_is_shown_with_its_passage_in_the_document() -> None:
    talk, passages = talk_html(packet(), reader(Shelf())), passages_html(packet(), reader(Shelf()))

    assert "Whom &lt;i&gt;do&lt;/i&gt; I call?" in talk
    assert "Call &lt;phone&gt; &lt;b&gt;now&lt;/b&gt;" in talk
    assert 'href="#s7-1"' in talk
    assert 'id="s7-1"' in passages
    assert '<mark class="dm-hit">Call +31 10 555 0142 at once, day or night.</mark>' in passages
    assert "Calls" in passages
    assert "it/desk.md, page 3" in passages
    assert "2" in masked_html(packet())


@pytest.mark.parametrize(
    ("shelf", "quote"),
    [(Shelf(unchanged=False), "Call <phone> at once, day or night."), (Shelf(), "Call <phone> tomorrow.")],
)
def test_where_the_document_says_something_else_now_the_quote_stands_alone(shelf: Shelf, quote: str) -> None:
    passages = passages_html(packet(quote), reader(shelf))
    assert "555 0142" not in passages
    assert quote.split(">")[1] in passages


def test_who_may_not_read_it_sees_that_it_is_there() -> None:
    talk, passages = talk_html(packet(), reader(Shelf(False))), passages_html(packet(), reader(Shelf(False)))
    assert WITHHELD in talk
    assert WITHHELD in passages
    assert "Whom" in talk
    assert "phone" not in talk + passages
    assert talk_html(Packet("", (), {}), reader(Shelf())).startswith("<p")
