"""Where sentences begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import sentence_spans

prose = st.lists(
    st.sampled_from(
        [
            "VPN",
            "leave",
            "e.g.",
            "Dr.",
            "25",
            "3.5",
            "1.",
            "Really?!",
            "end.",
            "“Stop.”",
            "(see p. 4)",
            "\n",
            "\n\n",
            "- ",
        ]
        + ["休暇。", "だ！", "…", "[1]", "[2].", '"', "'", ")", "*", "a.b@c.de", "\u2028", "\t", "Übung.", "Ωμέγα."]
    ),
    max_size=30,
).map(" ".join)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@given(st.one_of(prose, st.text(max_size=200)))
def test_sentences_are_in_order_do_not_overlap_and_cover_all_that_is_no_space(text: str) -> None:
    position = 0
    for start, end in sentence_spans(text):
        assert position <= start < end <= len(text)
        assert not text[position:start].strip(), "nothing falls between two sentences"
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Ask e.g. The Hague for help.",
        "Dr. Who and Mrs. Smith agree.",
        "See Fig. 3 and Sec. 4 for more.",
        "Call ext. 4471 now.",
        "It costs 3.50 per day.",
        "Open www.example.com today.",
        "Version 2.10 is out.",
        "1. Open the portal",
        "12. Press Enter",
        "Mr. J. R. Hartley wrote it.",
        "Wait … and see.",
        "at 9 a.m. on Monday",
    ],
)
def test_abbreviations_numbers_and_initials_end_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four…", ["One.", "Two!", "Three?", "Four…"]),
        ("You get 25 days. 5 may be kept.", ["You get 25 days.", "5 may be kept."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("(It is so.) Yes.", ["(It is so.)", "Yes."]),
        ("1. Open the portal\n2. Press Enter", ["1. Open the portal", "2. Press Enter"]),
        ("- One\n- Two. And more.", ["- One", "- Two.", "And more."]),
        ("年次休暇は25日です。申請してください！", ["年次休暇は25日です。", "申請してください！"]),
        ("Es ist so. Übung macht den Meister.", ["Es ist so.", "Übung macht den Meister."]),
        ("Yes [1]. No [2].", ["Yes [1].", "No [2]."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_stops_and_lines_end_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected
