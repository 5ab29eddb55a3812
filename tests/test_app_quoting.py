"""The documents' own words: which sentences, without the document's layout, each with a citation that is verbatim."""

import pytest

from app.answering.quoting import quote
from app.answering.relevance import Nearest
from finetune.house_form import check
from finetune.voice import load_voice
from ingest.records import Chunk

VOICE = load_voice()


def chunk(text: str, doc: str = "a.md", start: int = 100) -> Chunk:
    return Chunk(f"id-{doc}", doc, "Title", "Heading", None, start, start + len(text), text)


def whole(text: str, place: int = 0, doc: str = "a.md", score: float = 0.9) -> Nearest:
    return Nearest(place, chunk(text, doc), 0, len(text), score)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Leave is 25 days.", "Leave is 25 days [1]."),
        ("Is leave 25 days!", "Is leave 25 days [1]!"),
        ("- Lost or stolen: call 4911", "Lost or stolen: call 4911 [1]."),
        ("4. Never share the passphrase.", "Never share the passphrase [1]."),
        ("| Hot meal | 5.40 EUR |", "Hot meal | 5.40 EUR [1]."),
        ("-20 °C is the set point of the freezer.", "-20 °C is the set point of the freezer [1]."),
        ("--force overwrites every file", "--force overwrites every file [1]."),
        ("`__init__.py` must be there", "`__init__.py` must be there [1]."),
        ("Leave is 25 days [2].", "Leave is 25 days [1]."),
        ("Call these numbers:", "Call these numbers [1]."),
        ('The slogan is "We measure."', 'The slogan is "We measure" [1].'),
    ],
)
def test_a_sentence_loses_its_layout_and_nothing_else(text: str, said: str) -> None:
    found = quote([whole(text)], VOICE)
    assert found is not None
    assert found.text == said
    (citation,) = found.citations
    assert (citation.quote, citation.start, citation.end, citation.n) == (text, 100, 100 + len(text), 1)


def test_the_best_sentence_stands_first_and_what_is_of_one_passage_together_in_its_order() -> None:
    leave = chunk("You have leave. Leave is 25 days. Ask early. It is paid.")
    nearest = [
        Nearest(0, leave, 16, 33, 0.90),
        whole("Ask the desk for a badge.", 1, "b.md", 0.88),
        Nearest(0, leave, 0, 15, 0.85),
        Nearest(0, leave, 34, 44, 0.80),
        Nearest(0, leave, 45, 56, 0.79),
    ]
    found = quote(nearest, VOICE)
    assert found is not None
    assert found.text == "You have leave [1]. Leave is 25 days [1]. Ask early [1]. Ask the desk for a badge [2]."
    assert [(one.n, one.doc) for one in found.citations] == [(1, "a.md")] * 3 + [(2, "b.md")]
    assert all(sentence.supported for sentence in found.sentences)
    assert check(found.text, VOICE, 3) == ()


def test_a_sentence_that_stands_out_stands_alone() -> None:
    found = quote([whole("Leave is 25 days.", 0, score=0.9), whole("Badges are blue.", 1, score=0.74)], VOICE)
    assert found is not None
    assert found.text == "Leave is 25 days [1]."


def test_nothing_longer_than_an_answer_is_quoted() -> None:
    endless = whole("word " * (VOICE.answer.longest_words + 1))
    assert quote([endless], VOICE) is None
    assert quote([], VOICE) is None
    found = quote([endless, whole("Ask the desk for a badge.", 2)], VOICE)
    assert found is not None
    assert found.text == "Ask the desk for a badge [3]."
