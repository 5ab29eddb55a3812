"""A company's own pairs: masked, tidied, cited where a document bears them out, else rejected and counted."""

from collections.abc import Sequence

import pytest

from finetune.curation.conversations import Conversation
from finetune.curation.curate import curate
from finetune.curation.include import Included, include, tidy
from finetune.curation.pairs import Kind
from finetune.curation.pii import published
from finetune.house_form import check
from finetune.settings import CurateSettings
from finetune.template import Turn
from finetune.voice import load_voice
from ingest.records import Chunk

VOICE = load_voice()
TEXT = (
    "A session ends after 10 hours, whatever you are doing. Reconnect and approve again.\n"
    "Error 809 means that UDP port 4500 is blocked. Switch to the profile Gate-443.\n"
    "Write to servicedesk@corp.example, or call +31 10 555 0142, ext. 4911."
)
CHUNK = Chunk("c1", "it/vpn.md", "VPN guide", "Limits", None, 50, 50 + len(TEXT), TEXT)


def search(_: str) -> Sequence[Chunk]:
    return [CHUNK]


def own(*said: str, names: frozenset[str] = frozenset()) -> Included:
    turns = tuple(Turn(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(said))
    return include([Conversation("chats.txt:3", turns, names)], VOICE, search, published([CHUNK]))


def test_a_sentence_that_stands_in_a_document_cites_it_and_passes_every_filter() -> None:
    made = own("how long does a vpn session last", "A session ends after 10 hours. Reconnect and approve again.")
    (pair,) = made.pairs
    assert pair.kind is Kind.OWN
    assert pair.id == "chats.txt:3#1"
    assert pair.answer == "A session ends after 10 hours [1]. Reconnect and approve again [2]."
    assert [one.text for one in pair.evidence] == [
        "A session ends after 10 hours, whatever you are doing.",
        "Reconnect and approve again.",
    ]
    assert (pair.doc, pair.access) == ("it/vpn.md", frozenset({"everyone"}))
    for one in pair.evidence:
        assert TEXT[one.start - 50 : one.end - 50] == one.text
    assert check(pair.answer, VOICE, len(pair.evidence)) == ()
    settings = CurateSettings(held_out=0, unanswerable=0)
    assert curate([pair], {"c1": CHUNK}, VOICE, settings).train == [pair]


def test_the_companys_wording_stays_where_a_document_says_nearly_the_same() -> None:
    (pair,) = own("vpn error 809?", "Your UDP port 4500 is blocked. Please switch to profile Gate-443.").pairs
    assert pair.answer == "Your UDP port 4500 is blocked [1]. Please switch to profile Gate-443 [2]."


def test_numbers_that_differ_from_the_document_are_not_borne_out() -> None:
    made = own("how long is a session", "A session ends after 12 hours. Reconnect and approve again.")
    assert made.pairs == []
    assert made.rejected == {"partly-supported": 1}
    assert made.examples == {"partly-supported": "chats.txt:3#1: A session ends after 12 hours."}


def test_without_a_document_only_what_is_in_the_house_form_becomes_a_pair() -> None:
    made = own("Can I park here?", "Parking is free in hall B.", "And bikes?", "- hall A\n- hall B")
    (pair,) = made.pairs
    assert (pair.answer, pair.evidence, pair.doc, pair.access) == ("Parking is free in hall B.", (), "", frozenset())
    assert made.rejected == {"not-supported": 1}
    assert "opening" in made.examples["not-supported"]


def test_greetings_small_talk_and_signatures_go_and_nothing_else() -> None:
    made = own(
        "Hi Tom, thanks for waiting. error 809 again!",
        "Hi Eve! Sure, error 809 means that UDP port 4500 is blocked. Let me know if this helps.\nKind regards,\nTom",
        "Thanks!",
        "You're welcome. Have a nice day",
    )
    (pair,) = made.pairs
    assert pair.question == "Error 809 again!"
    assert pair.answer == "Error 809 means that UDP port 4500 is blocked [1]."
    assert made.rejected == {"courtesy": 1}
    assert tidy("Great Britain is served from hall B", VOICE) == "Great Britain is served from hall B."
    assert (
        tidy("Let me know by 5 May whether **you** come [1].\n\nSorry.", VOICE)
        == "Let me know by 5 May whether you come."
    )


def test_earlier_turns_are_the_history_and_never_more_than_a_few() -> None:
    said = [text for n in range(6) for text in (f"Session question number {n}?", "A session ends after 10 hours.")]
    pairs = own(*said).pairs
    assert [len(pair.history) for pair in pairs] == [0, 2, 4, 4, 4, 4]
    assert pairs[3].history[0]["content"] == "Session question number 1?"


def test_what_the_company_published_stays_and_everything_else_personal_is_masked_and_counted() -> None:
    made = own(
        "I am Eve Stone, call me on +49 170 1234567, card 4111 1111 1111 1111. Whom do I write to?",
        "Write to servicedesk@corp.example, or call +31 10 555 0142, ext. 4911.",
        "And who are you?",
        "You can reach me at tom.reed@corp.example, I'm Tom Reed.",
        names=frozenset({"Eve Stone", "Tom"}),
    )
    (pair,) = made.pairs
    assert pair.question == "I am <name>, call me on <phone>, card <card>. Whom do I write to?"
    assert pair.answer == "Write to servicedesk@corp.example, or call +31 10 555 0142, ext. 4911 [1]."
    assert made.masked == {"name": 2, "phone": 1, "card": 1, "mail": 1}
    assert made.rejected == {"personal": 1}
    assert "tom.reed" not in str(made)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("", "So.", "empty"),
        ("Why is it?", "", "empty"),
        ("Why? " * 2000, "So it is.", "too-long"),
        ("Why?", "Sure!", "courtesy"),
    ],
)
def test_what_is_no_question_with_an_answer_is_counted(question: str, answer: str, reason: str) -> None:
    made = own(question, answer)
    assert (made.pairs, made.taken, made.rejected) == ([], 1, {reason: 1})


def test_every_question_is_counted() -> None:
    made = own("Q one?", "A session ends after 10 hours.", "Q two?", "", "Q three?", "Purple - whatever")
    assert made.taken == 3 == len(made.pairs) + sum(made.rejected.values())
