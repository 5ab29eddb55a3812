"""What a follow-up question searches for."""

import pytest

from app.answering.history import standalone
from finetune.template import Turn
from retrieval.search import MOST_CHARACTERS, check_question

HISTORY = [
    Turn(role="user", content="How many days of annual leave do I have?"),
    Turn(role="assistant", content="You have 25 days."),
]
FIRST = HISTORY[0]["content"]


@pytest.mark.parametrize(
    "question",
    ["And in Spain?", "Can I carry it over to the next calendar year?", "What about those, when unused in December?"],
)
def test_a_question_that_leans_on_the_one_before_it_brings_it_along(question: str) -> None:
    assert standalone(question, HISTORY) == f"{FIRST}\n{question}"


def test_a_question_that_stands_alone_stays_alone() -> None:
    question = "Which port must be open for the VPN client?"
    assert standalone(question, HISTORY) == question


def test_signs_beside_a_leaning_word_do_not_hide_it() -> None:
    question = "Unused leave from December: is it, perhaps, paid out afterwards?"
    assert standalone(question, HISTORY).startswith(FIRST)


def test_the_first_question_stands_alone_however_short() -> None:
    assert standalone("VPN?", []) == "VPN?"
    assert standalone("VPN?", [Turn(role="assistant", content="Hello!")]) == "VPN?"


def test_the_last_question_before_counts() -> None:
    history = [*HISTORY, Turn(role="user", content="Where is the canteen?"), Turn(role="assistant", content="Here.")]
    assert standalone("And the gym?", history) == "Where is the canteen?\nAnd the gym?"


def test_two_long_questions_together_are_still_one_that_can_be_searched() -> None:
    history = [Turn(role="user", content="a " * (MOST_CHARACTERS // 2))]
    text = standalone("And what about it?", history)
    check_question(text)
    assert text.endswith("\nAnd what about it?")
