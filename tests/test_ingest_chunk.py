import re

from hypothesis import given
from hypothesis import strategies as st

from ingest.chunk import chunk
from ingest.records import Block, BlockKind, Parsed

EVERYONE = frozenset({"everyone"})


def offsets(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def document(parts: list[tuple[BlockKind, int, str]], title: str = "Guide") -> Parsed:
    """A parsed document from (kind, heading level, text)."""
    text, blocks = "", []
    for kind, level, body in parts:
        text += "\n\n" if text else ""
        blocks.append(Block(kind, len(text), len(text) + len(body), level))
        text += body
    return Parsed(title, text, tuple(blocks))


def heading(text: str, level: int = 1) -> tuple[BlockKind, int, str]:
    return BlockKind.HEADING, level, text


def para(text: str) -> tuple[BlockKind, int, str]:
    return BlockKind.PARAGRAPH, 0, text


words = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=400)
blocks = st.lists(
    st.tuples(st.sampled_from([BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST, BlockKind.TABLE]), words),
    max_size=12,
)


@given(blocks, st.integers(32, 120))
def test_chunks_are_exact_spans_that_cover_every_visible_character_and_fit_the_window(parts, chunk_tokens) -> None:
    parsed = document([(kind, 2 if kind is BlockKind.HEADING else 0, text.strip() or "x") for kind, text in parts])
    chunks = chunk(parsed, "a.md", EVERYONE, offsets, chunk_tokens=chunk_tokens, window=200)
    covered = [False] * len(parsed.text)
    for one in chunks:
        assert parsed.text[one.start : one.end] == one.text
        assert len(offsets(one.text)) <= chunk_tokens
        assert len(offsets(one.embedded_text)) <= 200
        covered[one.start : one.end] = [True] * len(one.text)
    assert all(done or not char.strip() for char, done in zip(parsed.text, covered, strict=True))
    assert [one.start for one in chunks] == sorted(one.start for one in chunks)
    assert len({one.id for one in chunks}) == len(chunks)


def test_a_chunk_carries_the_headings_above_it() -> None:
    parsed = document(
        [
            heading("Guide"),
            heading("VPN", 2),
            para("Start Lockgate. " * 20),
            heading("Wi-Fi", 2),
            para("Pick Staff now. " * 15),
        ]
    )
    chunks = chunk(parsed, "a.md", EVERYONE, offsets, chunk_tokens=80, window=254)
    assert [one.heading for one in chunks] == ["VPN", "Wi-Fi"]
    assert all(one.title == "Guide" for one in chunks)


def test_small_sections_share_a_chunk_under_the_heading_that_they_share() -> None:
    parsed = document(
        [
            heading("Guide"),
            heading("A", 2),
            para("One."),
            heading("B", 2),
            para("Two."),
            heading("C", 2),
            para("Three."),
        ]
    )
    (only,) = chunk(parsed, "a.md", EVERYONE, offsets, chunk_tokens=80, window=254)
    assert only.text.startswith("Guide")
    assert only.text.endswith("Three.")


def test_editing_one_section_leaves_the_ids_of_the_others_alone() -> None:
    def ids(middle: str) -> list[str]:
        parts = [
            heading("A", 2),
            para("Alpha. " * 40),
            heading("B", 2),
            para(middle * 40),
            heading("C", 2),
            para("Gamma. " * 40),
        ]
        return [one.id for one in chunk(document(parts), "a.md", EVERYONE, offsets, chunk_tokens=90, window=254)]

    before, after = ids("Beta. "), ids("Changed here. ")
    assert before[0] == after[0]
    assert before[-1] == after[-1]
    assert before != after


def test_the_same_text_twice_in_a_document_gets_two_ids() -> None:
    parts = [heading("A", 2), para("Same words. " * 30), heading("A", 2), para("Same words. " * 30)]
    chunks = chunk(document(parts), "a.md", EVERYONE, offsets, chunk_tokens=70, window=254)
    assert len({one.id for one in chunks}) == len(chunks) > 1


def test_a_word_of_endless_length_is_cut_too() -> None:
    parsed = document([para("A" * 50_000)])
    chunks = chunk(parsed, "a.md", EVERYONE, offsets, chunk_tokens=100, window=254)
    assert sum(len(one.text) for one in chunks) == 50_000
    assert max(len(one.text) for one in chunks) <= 808


def test_an_endless_title_and_trail_leave_room_for_the_text() -> None:
    parsed = document([heading("word " * 300), para("Fact one. " * 60)], title="title " * 300)
    for one in chunk(parsed, "a.md", EVERYONE, offsets, chunk_tokens=160, window=254):
        assert len(offsets(one.embedded_text)) <= 254
