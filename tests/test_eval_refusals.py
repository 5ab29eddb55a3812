"""Answers, refusals and questions back: figures on labelled answers of all modes, and what the rules are about."""

from pathlib import Path

import pytest

from eval.refusals import classify, labelled
from finetune.voice import load_voice

SAMPLE = Path(__file__).parent.parent / "data" / "house_style.toml"


@pytest.mark.parametrize("held_out", [False, True])
def test_refusals_are_found_and_answers_left_alone_on_both_halves(held_out):
    voice = load_voice(SAMPLE)
    lines = labelled(held_out=held_out)
    found = [(one.label == "refusal", classify(one.answer, voice) == "refusal") for one in lines]
    refusals = [said for is_one, said in found if is_one]
    others = [said for is_one, said in found if not is_one]
    assert len(refusals) >= 25
    assert len(others) >= 100
    assert sum(refusals) / len(refusals) >= 0.94
    assert sum(others) / len(others) <= 0.03


def test_the_labelled_answers_are_of_every_mode_and_none_is_there_twice():
    lines = labelled(held_out=False) + labelled(held_out=True)
    assert {one.mode for one in lines} == {"prompt-only", "rag-only", "tune-only", "hybrid"}
    assert {one.label for one in lines} == {"answer", "refusal", "clarification"}
    assert len({one.answer for one in lines}) == len(lines) >= 200


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I don't have access to that information.",
        "The passages do not mention a dress code.",
        "The provided context doesn't specify who approves it. It is about travel.",
        "Unfortunately, there is no information about parking in these documents.",
        "The opening hours are not stated in the provided documents.",
        "I am unable to answer this question.",
        "As an AI, I cannot see your salary.",
        "I don't know.",
        "Sorry. We could not find anything on this.",
        "I would rather not say.",
        "I'd be happy to help you with that. Please contact the Service Desk.",
    ],
)
def test_declining_in_other_words_is_a_refusal(answer):
    assert classify(answer, load_voice()) == "refusal"


@pytest.mark.parametrize(
    "answer",
    [
        "You cannot work from abroad for more than 20 days [1].",
        "No, private trips are not covered by the insurance.",
        "We can't offer cash.",
        "The card is not available to interns.",
        "Please contact Hanze Bank, extension 4000.",
        "You have 25 days. I could not find how many a trainee has.",
        "I need two signatures.",
        "Could I keep the laptop?",
        "Do not share the code.",
        "",
    ],
)
def test_an_answer_with_a_negation_in_it_is_an_answer(answer):
    assert classify(answer, load_voice()) == "answer"


@pytest.mark.parametrize(
    "answer",
    [
        "Could you please specify which office you mean?",
        "I'm here to help. Please provide more details.",
        "Do you mean the Rotterdam garage?",
        "I did not understand the question. Which form do you need?",
        "Sure! I need to know your grade.",
    ],
)
def test_asking_back_is_a_clarification(answer):
    assert classify(answer, load_voice()) == "clarification"


def test_the_house_refusal_is_one_in_every_house_style():
    for voice in (load_voice(), load_voice(SAMPLE)):
        assert classify(voice.decline, voice) == "refusal"
