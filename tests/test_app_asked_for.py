"""What a question asks for: an amount, a time, somebody; and sentences that have it."""

import pytest

from app.answering.asked_for import asked_for, has_what_is_asked_for


def fits(question: str, text: str) -> int:
    return has_what_is_asked_for(text, asked_for(question))


@pytest.mark.parametrize(
    ("question", "has", "lacks"),
    [
        ("How much may a hotel in Porto cost?", "Porto: EUR 120 a night.", "Hotels are booked in Ledgerly."),
        ("how many characters must a passphrase have", "It has twelve characters.", "It must be long."),
        ("When is payroll closed?", "It closes on the 25th of March.", "Payroll closes before it is paid."),
        ("How soon is a broken laptop replaced?", "Within two working days.", "The 3 spare ones are in room 12."),
        ("How often are backups tested?", "They are tested every quarter.", "Backups are tested with care."),
        ("Who signs concessions?", "Only Filipa Nunes signs concessions.", "Concessions have an end date."),
        ("Whom do I ask for a badge?", "Badges are given out by reception.", "Badges are white or blue."),
    ],
)
def test_a_sentence_with_what_is_asked_for_is_told_from_one_without(question: str, has: str, lacks: str) -> None:
    assert fits(question, has) == 1
    assert fits(question, lacks) == -1


@pytest.mark.parametrize("question", ["Is it allowed to bring a dog?", "vpn eror 809 wat do", "Wie viel kostet das?"])
def test_other_questions_ask_for_nothing_that_is_known_here(question: str) -> None:
    assert fits(question, "It costs EUR 12 on Monday.") == 0
