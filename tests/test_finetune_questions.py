"""Questions by rule: what a sentence, a table and a section are asked, and what they are never asked."""

import pytest

from finetune.synthesis.drafts import Corpus, cited
from finetune.synthesis.english import dangling, lower_first, parse, swap_persons
from finetune.synthesis.fact_questions import ask_facts
from finetune.synthesis.section_questions import ask_section
from finetune.synthesis.sentence_questions import sentences
from finetune.synthesis.table_questions import ask_rows, compare_columns, compare_rows, tables
from finetune.voice import load_voice
from ingest.records import Chunk

VOICE = load_voice()
LOWER = frozenset(
    [
        "repairs",
        "unused",
        "the",
        "files",
        "are",
        "kept",
        "a",
        "jobs",
        "voucher",
        "employees",
        "cancel",
        "register",
        "borrow",
        "if",
        "charging",
        "report",
        "owners",
        "new",
        "laptops",
    ]
)


def chunk(text: str, heading: str = "", title: str = "House rules") -> Chunk:
    return Chunk("c0ffee", "rules.md", title, heading, None, 0, len(text), text)


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Files are kept for 30 days.", "How long are files kept?"),
        ("Unused jobs are deleted after 12 hours.", "After how many hours are unused jobs deleted?"),
        ("You must change your passphrase within 15 minutes.", "Within how many minutes must I change my passphrase?"),
        ("You must change your passphrase within 15 minutes.", "How many minutes do I have to change my passphrase?"),
        ("Register your home days in Tidal by 5 May.", "By when do I register my home days in Tidal?"),
        ("The owner gets 2 working days to decide.", "How many working days does the owner get to decide?"),
        ("Charging costs 0.31 EUR per kWh.", "How much does charging cost per kWh?"),
        ("The bike store takes 85 bikes.", "How many bikes does the bike store take?"),
        ("Owners receive a list every six months.", "How often do owners receive a list?"),
        ("Repairs are done by the supplier.", "Who are repairs done by?"),
        ("If the door is stuck, call the porter.", "What should I do if the door is stuck?"),
        ("To show your screen, open the panel.", "How do I show my screen?"),
        ("Tock is a tool for tracking time.", "What is Tock?"),
        ("The duty manager opens the safe.", "Who opens the safe?"),
        ("The pool is closed because the pump is broken.", "Why is the pool closed?"),
        ("In Denver the office opens at 08:00.", "At what time does the office open in Denver?"),
    ],
)
def test_each_fact_of_a_sentence_is_asked_for(sentence: str, question: str) -> None:
    assert question in [one.question for one in ask_facts(sentence, LOWER)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Nothing of note",
        "It is closed on Mondays.",
        "I will reopen it for errors above 50 EUR.",
        "Is it open at 9:00?",
        "Rotterdam, Porto and Denver.",
    ],
)
def test_what_is_no_plain_statement_is_left_alone(sentence: str) -> None:
    assert not [one.question for one in ask_facts(sentence, LOWER) if "it" in one.question.split()]
    assert parse(sentence, LOWER) is None or dangling(sentence)


def test_a_yes_or_no_comes_only_with_what_holds_without_condition() -> None:
    asked = {one.question: one.prefix for one in ask_facts("Laptops may not be taken abroad.", LOWER)}
    assert asked["May laptops be taken abroad?"] == "No. "
    limited = {
        one.question: one.prefix
        for one in ask_facts("Laptops may be taken abroad only if the lead of the team has agreed before.", LOWER)
    }
    assert set(limited.values()) <= {""}


def test_what_is_said_to_you_is_asked_of_oneself() -> None:
    assert swap_persons("we send you your new card when you are back") == "you send me my new card when I am back"
    assert lower_first("The US office", LOWER) == "the US office"
    assert lower_first("Harbour View", frozenset({"harbour"})) == "Harbour View"


def test_every_sentence_of_an_answer_ends_in_its_marker() -> None:
    assert cited("Ask the desk. Bring your card!", 2, VOICE) == "Ask the desk [2]. Bring your card [2]!"
    assert cited("It says “stop here.”", 1, VOICE) == "It says “stop here” [1]."


def test_a_cell_is_asked_for_by_its_row_and_column() -> None:
    text = "Caps\n\nCity | Cap per night | Remark\nPorto | €110 | breakfast included\nDenver | €210 | –"
    corpus = Corpus.of([chunk(text, "Hotel caps")])
    (table,) = tables(corpus.chunks[0])
    drafts = {draft.question: draft for draft in ask_rows(table, corpus, VOICE)}
    assert drafts["What is the cap per night for Porto?"].answer == "The cap per night for Porto is €110 [1]."
    assert drafts["What is the cap per night for Porto?"].evidence[0].text == "Porto | €110 | breakfast included"
    assert not any("Denver" in question and "know" in question for question in drafts), "a dash is no remark"
    (compared,) = compare_rows(table, corpus, VOICE)
    assert compared.answer == "The cap per night for Porto is €110 [1]. For Denver it is €210 [2]."


def test_records_are_a_table_too() -> None:
    text = "Room: Bosun | Seats: 6 | Bookable by: all staff\nRoom: Delta | Seats: 10 | Bookable by: the board"
    corpus = Corpus.of([chunk(text)])
    (table,) = tables(corpus.chunks[0])
    drafts = {draft.question: draft.answer for draft in ask_rows(table, corpus, VOICE)}
    assert drafts["What are the seats for Bosun?"] == "The seats for Bosun are 6 [1]."
    assert drafts["Who is Delta bookable by?"] == "Delta is bookable by the board [1]."


def test_columns_that_are_names_are_compared() -> None:
    text = "Occasion | RTM | OPO\nOwn wedding | 2 days | 15 days\nMoving house | 1 day | 1 day"
    corpus = Corpus.of([chunk(text, "Special leave")])
    (table,) = tables(corpus.chunks[0])
    assert [draft.answer for draft in compare_columns(table, corpus, VOICE)] == [
        "For Own wedding, RTM has 2 days and OPO has 15 days [1]."
    ]


def test_rows_without_named_columns_are_left_alone() -> None:
    assert not tables(chunk("1400 | IT | Priya Raman\n1450 | Security | Daniel Okafor"))
    assert not tables(chunk("a line | with one bar\n\nand no row below it"))


def test_numbered_steps_answer_how() -> None:
    text = "Asking for leave\n\n1. Open Tidal and choose Leave.\n2. Put in the dates.\n3. Submit the request."
    corpus = Corpus.of([chunk(text, "Asking for leave")])
    (steps,) = (d for d in ask_section(corpus.chunks[0], corpus, VOICE) if d.question == "How do I ask for leave?")
    assert steps.answer == "1. Open Tidal and choose Leave [1].\n2. Put in the dates [1].\n3. Submit the request [1]."


def test_steps_that_go_on_elsewhere_are_no_procedure() -> None:
    corpus = Corpus.of([chunk("3. Submit the form.\n4. Wait for the mail.", "Asking for leave")])
    assert not [d for d in ask_section(corpus.chunks[0], corpus, VOICE) if d.way == "procedure"]


def test_a_heading_that_asks_is_answered_by_what_stands_below() -> None:
    text = (
        "2.1 Do I need a purchase order?\n\nBelow €500 you need none. From €500 you need one "
        "before the supplier starts."
    )
    corpus = Corpus.of([chunk(text, "2.1 Do I need a purchase order?")])
    (asked,) = (d for d in ask_section(corpus.chunks[0], corpus, VOICE) if d.way == "heading-asks")
    assert asked.question == "Do I need a purchase order?"
    assert asked.answer == "Below €500 you need none [1]. From €500 you need one before the supplier starts [1]."


def test_bullets_answer_the_line_that_announces_them() -> None:
    text = "The account manager is responsible for:\n- tracking the budget\n- writing the weekly report"
    corpus = Corpus.of([chunk(text, "Finances")])
    (asked,) = (d for d in ask_section(corpus.chunks[0], corpus, VOICE) if d.way == "list")
    assert asked.question == "What is the account manager responsible for?"
    assert asked.answer == "The account manager is responsible for tracking the budget; writing the weekly report [1]."


def test_a_labelled_line_becomes_a_full_sentence() -> None:
    corpus = Corpus.of([chunk("- Lost property: reception keeps it for three months.", "Small things")])
    (asked,) = (d for d in ask_section(corpus.chunks[0], corpus, VOICE) if d.way == "label")
    assert asked.answer == "For Lost property: reception keeps it for three months [1]."


def test_a_sentence_that_leans_on_another_is_no_answer() -> None:
    text = "The pool opens at seven. It closes at nine on most days. Owner: Jane Doe, ext. 1234."
    assert [one.text for one in sentences(chunk(text))] == ["The pool opens at seven."]


def test_a_topic_is_the_last_heading_that_says_something() -> None:
    one = chunk("Text.", "Parking › Rotterdam", "House guide: desks, parking, post")
    corpus = Corpus.of([one, chunk("The parking space is in Rotterdam. We park in Rotterdam.")])
    assert corpus.topic(one) == "parking, Rotterdam"
    assert corpus.topic(chunk("Text.", "Overview")) == "House rules"
    assert corpus.topic(chunk("Text.", "3. What you get (all sites)")) == "House rules"
