"""Answers for clients that render all Markdown: nothing loads, nothing leads away, whole or in pieces."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.web.markup import begun, inert

EVERYTHING = MarkdownIt("commonmark", {"html": True})
ACTIVE = re.compile(r"<(?:a|img|script|iframe|svg|style|b|x)\b", re.IGNORECASE)

PIECES = st.sampled_from(
    [
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "!",
        "\\",
        ":",
        "/",
        '"',
        "'",
        "\n",
        " ",
        "`",
        "*",
        "a",
        "b",
        "x",
        "1",
        "[1]",
        "[1, 2]",
    ]
    + ["http://e.example", "<img src=x>", "<a href=y>", "![", "](u)", "]: u", "\n[1]: u", "mailto:", "@e.example", "</"]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@given(TEXTS)
@example("\\[x](http://e.example)")
@example("\\\\[x](http://e.example)")
@example("see [1]\n\n[1]: http://e.example")
@example("<5@e.example>")
def test_nothing_in_an_inert_text_loads_or_leads_anywhere(text: str) -> None:
    assert not ACTIVE.search(EVERYTHING.render(inert(text)))


@example("<[", [])
@example("[1][2](u)", [4, 1, 1])
@given(TEXTS, st.lists(st.integers(1, 5), max_size=40))
def test_a_text_that_comes_in_pieces_is_escaped_as_one_that_comes_whole(text: str, lengths: list[int]) -> None:
    out, held, position = "", "", 0
    for length in [*lengths, len(text)]:
        held += text[position : position + length]
        position += length
        at = begun(held)
        out, held = out + inert(held[:at]), held[at:]
    assert out + inert(held) == inert(text)


@pytest.mark.parametrize(
    "text",
    ["Call 4000 [1].", "Two of them [1, 2] and [3; 4].", "Both [1][2].", "- **bold** | `code` # 5 < 6", "1 [12]"],
)
def test_ordinary_answers_stay_as_they_are(text: str) -> None:
    assert inert(text) == text
