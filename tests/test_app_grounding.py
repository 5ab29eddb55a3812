"""Citations are checked, moved, given and withdrawn."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.grounding import Grounded, ground, unchecked, wording_kept
from finetune.voice import load_voice
from ingest.records import Chunk

VOICE = load_voice()

LEAVE = (
    "Annual leave\n\nYou have 25 days of annual leave. Carry over at most 5 days until 31 March.\n"
    "Ask your manager, then book the days in Harbour."
)
VPN = "VPN\n\nError 809 means that UDP port 4500 is blocked. Switch to the profile Brightwater-443."


def chunk(text: str, doc: str, start: int = 100) -> Chunk:
    return Chunk(f"id-{doc}", doc, "Title of it", "Part", 3, start, start + len(text), text)


PASSAGES = [chunk(LEAVE, "leave.md"), chunk(VPN, "vpn.md", start=7)]
TEXTS = {"leave.md": " " * 100 + LEAVE, "vpn.md": " " * 7 + VPN}


def check(answer: str, passages: list[Chunk] = PASSAGES) -> Grounded:
    grounded = ground(answer, passages, VOICE)
    for citation in grounded.citations:
        source = passages[citation.n - 1]
        assert TEXTS[citation.doc][citation.start : citation.end] == citation.quote
        assert (citation.doc, citation.chunk_id, citation.heading, citation.page) == (source.doc, source.id, "Part", 3)
        assert source.start <= citation.start < citation.end <= source.end
    assert {int(n) for n in re.findall(r"\[(\d+)\]", grounded.text)} == {one.n for one in grounded.citations}
    return grounded


def test_a_citation_that_holds_is_kept_and_quotes_the_sentence_it_stands_on() -> None:
    grounded = check("You have 25 days of annual leave [1].")
    assert grounded.text == "You have 25 days of annual leave [1]."
    assert [one.quote for one in grounded.citations] == ["You have 25 days of annual leave."]
    assert grounded.sentences[0].supported


def test_a_sentence_without_a_citation_is_given_the_one_that_supports_it() -> None:
    assert check("You have 25 days of annual leave. Port 4500 is blocked.").text == (
        "You have 25 days of annual leave [1]. Port 4500 is blocked [2]."
    )


def test_a_citation_of_the_wrong_passage_is_moved_to_the_right_one() -> None:
    assert check("Switch to the profile Brightwater-443 [1].").text == "Switch to the profile Brightwater-443 [2]."


@pytest.mark.parametrize("marker", ["[9]", "[0]", "[123]", "[7, 9]", "[3-5]", " [9][8] [9]", "[2;9]"])
def test_a_forged_citation_is_dropped(marker: str) -> None:
    grounded = check(f"The moon is made of green cheese {marker}.")
    assert grounded.text == "The moon is made of green cheese."
    assert grounded.citations == ()
    assert not grounded.sentences[0].supported
    assert check(f"You have 25 days of annual leave {marker}.").text == "You have 25 days of annual leave [1]."


def test_a_citation_after_the_stop_belongs_to_the_sentence_before_it() -> None:
    grounded = check("You have 25 days of annual leave. [1] Port 4500 is blocked. [2, 9]")
    assert grounded.text == "You have 25 days of annual leave [1]. Port 4500 is blocked [2]."


def test_a_sentence_that_no_passage_supports_is_marked_and_uncited() -> None:
    grounded = check("You have 25 days of annual leave [1]. Managers may grant sabbaticals freely [1].")
    assert [one.supported for one in grounded.sentences] == [True, False]
    assert grounded.text.endswith("[1]. Managers may grant sabbaticals freely.")


@pytest.mark.parametrize("number", ["26", "2.5", "250", "25,000"])
def test_a_number_that_is_not_in_the_passage_is_not_supported(number: str) -> None:
    grounded = check(f"You have {number} days of annual leave [1].")
    assert not grounded.sentences[0].supported
    assert grounded.citations == ()


def test_a_number_may_be_written_with_or_without_separators() -> None:
    passages = [chunk("The budget is 1,200 euros for a laptop.", "leave.md")]
    assert ground("The laptop budget is 1200 euros.", passages, VOICE).sentences[0].supported
    passages = [chunk("The budget is 1200 euros for a laptop.", "leave.md")]
    assert ground("The laptop budget is 1,200 euros.", passages, VOICE).sentences[0].supported


def test_the_numbers_of_an_answers_own_list_are_no_claims() -> None:
    grounded = check("1. Ask your manager.\n2. Book the days in Harbour [1].")
    assert [one.supported for one in grounded.sentences] == [True, True]
    assert grounded.text == "1. Ask your manager [1].\n2. Book the days in Harbour [1]."


def test_what_claims_nothing_needs_no_support() -> None:
    grounded = check("Yes. You have 25 days of annual leave.")
    assert all(one.supported for one in grounded.sentences)
    assert grounded.text == "Yes. You have 25 days of annual leave [1]."


def test_without_passages_nothing_is_cited() -> None:
    grounded = check("You have 25 days [1]. Yes.", [])
    assert grounded.text == "You have 25 days. Yes."
    assert not grounded.sentences[0].supported


@pytest.mark.parametrize("answer", ["", "  \n", "[1]", "[9] [8].", "\n[1]\n"])
def test_an_answer_of_nothing_stays_nothing(answer: str) -> None:
    grounded = check(answer)
    assert grounded.citations == ()
    assert not re.search(r"\w", grounded.text)
    assert all(one.text for one in grounded.sentences)


def test_one_sentence_cited_twice_is_one_citation() -> None:
    assert len(check("You have 25 days of annual leave [1]. 25 days of annual leave you have [1].").citations) == 1


pieces = st.lists(
    st.sampled_from(
        [
            "You have 25 days of annual leave",
            "Port 4500 is blocked",
            "The moon is cheese",
            "[1]",
            "[2]",
            "[9]",
            "[1, 2]",
        ]
        + [".", "!", "\n", "1. ", "- ", "e.g.", "Yes.", "99", "[", "]", "[12"]
    ),
    max_size=14,
).map(" ".join)


@given(st.one_of(pieces, st.text(max_size=120)))
def test_whatever_a_model_writes_only_what_was_read_is_cited(answer: str) -> None:
    grounded = check(answer)
    assert {citation.n for citation in grounded.citations} <= {1, 2}
    for sentence in grounded.sentences:
        assert sentence.text in grounded.text
        assert {one.n for one in sentence.citations} == {int(n) for n in re.findall(r"\[(\d+)\]", sentence.text)}
    words = re.sub(r"\[\s*\d{1,3}(\s*[,;–-]\s*\d{1,3})*\s*\]|[^\w]", "", answer)
    assert re.sub(r"\[\d+\]|[^\w]", "", grounded.text) == words, "the answer's own words stay as they are"


def test_the_wording_kept_is_that_of_the_sentences_cited() -> None:
    text = "A bid is uploaded at least 24 hours before the hour of closing. Print jobs are deleted at night."
    passage = chunk(text, "bids.md")
    verbatim = ground("A bid is uploaded at least 24 hours before the hour of closing.", [passage], VOICE)
    turned = ground("A bid must be uploaded every hour before the hour of closing.", [passage], VOICE)
    assert wording_kept(verbatim) == 1.0
    assert turned.citations, "its words are all there"
    assert wording_kept(turned) < 0.5
    assert wording_kept(unchecked("A bid is uploaded.")) == 0.0
