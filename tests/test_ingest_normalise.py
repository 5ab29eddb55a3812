"""The one form of text: what goes, what stays, and that doing it twice changes nothing."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.normalise import normalise, one_line

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\r\n\t \u00a0\u200b\u00ad\u2028\ud800ﬁ①e\u0301"))


@given(ANY_TEXT, st.booleans())
def test_normalising_twice_changes_nothing(text: str, indents: bool) -> None:
    once = normalise(text, indents=indents)
    assert normalise(once, indents=indents) == once


@given(ANY_TEXT)
def test_normalised_text_is_tidy_and_can_be_encoded(text: str) -> None:
    result = normalise(text)
    result.encode("utf-8")
    assert unicodedata.is_normalized("NFKC", result)
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Co"} for c in result if c != "\n")
    assert "\n\n\n" not in result
    assert all(line == line.rstrip() for line in result.split("\n"))


def test_no_character_of_unicode_escapes_the_form() -> None:
    for start in range(0, sys.maxunicode, 0x8000):
        once = normalise("\n".join(f"a{chr(code)}b" for code in range(start, start + 0x8000)))
        assert normalise(once) == once, hex(start)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("ef\u00adfi\u200bcient \ufb01le", "efficient file"),
        ("pay\u202egnorw\u202c", "paygnorw"),
        ("tag\U000e0041\U000e0042ged", "tagged"),
        ("no\u00a0break\tand  more   spaces ", "no break and more spaces"),
        ("\n\n\nfirst\n\n\n\n\nsecond\n\n", "first\n\nsecond"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("cafe\u0301", "café"),
        ("\uf0b7 item", "• item"),
        ("bell\x07 and null\x00", "bell and null"),
        ("  - indented\n    - more", "  - indented\n    - more"),
    ],
)
def test_text_becomes_plain(given_text: str, expected: str) -> None:
    assert normalise(given_text) == expected


def test_indents_go_where_they_mean_nothing() -> None:
    assert normalise("  one\n    two", indents=False) == "one\ntwo"


def test_scripts_of_all_kinds_survive() -> None:
    text = "Отпуск 休暇 الإجازة חופשה छुट्टी 휴가"
    assert normalise(text) == unicodedata.normalize("NFKC", text)


def test_a_title_is_one_line() -> None:
    assert one_line("  Annual\n leave\u00a0 2025 ") == "Annual leave 2025"
