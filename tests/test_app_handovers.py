import threading

import pytest
from queue_kit import ANNA, BEN, DORA, HUGO, Floor

from app.people import Person, Role
from app.staff.handovers import LONGEST_SAID
from ingest.errors import DeskmateError


def test_a_packet_holds_the_conversation_masked_with_its_passages(floor: Floor) -> None:
    conversation, _ = floor.ask(ANNA, "When does the VPN session end? My number is +31 10 555 0142.")
    floor.ask(ANNA, "And where do I connect again?", conversation)

    stand = floor.staff.handovers.begin(conversation, ANNA, "I am Anna Berg, please write to anna.berg@mail.example")

    one = floor.staff.handovers.find(stand.handover)
    assert (stand.stage, stand.open, one.state) == ("waiting", True, "waiting")
    assert "<name>" in one.packet.note
    assert "<mail>" in one.packet.note
    first, second = one.packet.exchanges
    assert "<phone>" in first.question
    assert "555" not in str(one.packet)
    assert "it/vpn.md" in first.rests.docs
    assert first.rests.docs.keys() <= second.rests.docs.keys(), "a later answer rests on what the model was told before"
    assert [source.doc for source in first.sources] == ["it/vpn.md"]
    assert "10 hours" in first.sources[0].quote
    assert floor.staff.handovers.preview(conversation)[0].question == first.question


def test_a_conversation_is_handed_over_once_at_a_time(floor: Floor) -> None:
    conversation, _ = floor.ask(BEN, "When are print jobs deleted?")
    handovers = floor.staff.handovers

    first = handovers.begin(conversation, BEN, "")
    again = handovers.begin(conversation, BEN, "once more")

    assert again.handover == first.handover
    handovers.close(conversation, BEN)
    closed = handovers.state(conversation)
    assert closed is not None
    assert not closed.open
    assert handovers.begin(conversation, BEN, "").handover != first.handover


def test_one_of_several_takes_it_and_the_others_are_told_by_whom(floor: Floor) -> None:
    conversation, _ = floor.ask(BEN, "When are print jobs deleted?")
    number = floor.staff.handovers.begin(conversation, BEN, "").handover
    people = [Person(f"user-{n}", f"Colleague {n}", frozenset(), Role.DESK) for n in range(40, 46)]
    refusals: list[str] = []
    ready = threading.Barrier(len(people))

    def take(person: Person) -> None:
        ready.wait()
        try:
            floor.staff.handovers.take(number, person)
        except DeskmateError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=take, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    one = floor.staff.handovers.find(number)
    assert one.state == "taken"
    assert len(refusals) == len(people) - 1
    assert all(message.startswith(f"{one.taken_name} has taken this hand-over") for message in refusals)


def test_only_who_has_it_answers_and_closes(floor: Floor) -> None:
    conversation, _ = floor.ask(BEN, "When are print jobs deleted?")
    handovers = floor.staff.handovers
    number = handovers.begin(conversation, BEN, "").handover

    with pytest.raises(DeskmateError, match="take it first"):
        handovers.reply(number, DORA, "Hello")
    handovers.take(number, DORA)
    with pytest.raises(DeskmateError, match="Dora has taken"):
        handovers.reply(number, HUGO, "Hello")
    handovers.take(number, HUGO, from_=DORA.id)
    with pytest.raises(DeskmateError, match="Hugo has taken"):
        handovers.finish(number, DORA)
    handovers.give_back(number, HUGO)
    handovers.take(number, DORA)
    handovers.reply(number, DORA, "Which printer is it?")
    handovers.finish(number, DORA)
    with pytest.raises(DeskmateError, match="closed"):
        handovers.reply(number, DORA, "One more thing")
    with pytest.raises(DeskmateError, match="ask for a person again"):
        handovers.say(conversation, BEN, "Hello?")


def test_what_both_sides_say_stands_in_the_conversation(floor: Floor) -> None:
    conversation, _ = floor.ask(BEN, "When are print jobs deleted?")
    handovers = floor.staff.handovers
    number = handovers.begin(conversation, BEN, "").handover
    handovers.take(number, DORA)
    handovers.reply(number, DORA, "Which printer is it?")
    asked = handovers.say(conversation, BEN, " The one on floor 2. ")

    said = handovers.since(conversation)
    assert [(one.author, one.text) for one in said] == [
        (DORA.id, "Which printer is it?"),
        (BEN.id, "The one on floor 2."),
    ]
    assert handovers.since(conversation, asked.id) == []
    assert handovers.find(number).unanswered == asked.at, "the asker waits since their last word"
    handovers.reply(number, DORA, "I am on my way.")
    assert handovers.find(number).unanswered is None


@pytest.mark.parametrize("text", ["", "  \n", "x" * (LONGEST_SAID + 1)])
def test_a_message_has_words_and_an_end(floor: Floor, text: str) -> None:
    conversation, _ = floor.ask(BEN, "When are print jobs deleted?")
    number = floor.staff.handovers.begin(conversation, BEN, "").handover
    floor.staff.handovers.take(number, DORA)

    with pytest.raises(DeskmateError, match=r"empty|at most"):
        floor.staff.handovers.reply(number, DORA, text)


def test_who_waits_longest_is_first_and_erased_conversations_leave_the_queue(floor: Floor) -> None:
    handovers = floor.staff.handovers
    first, second = (floor.ask(person, "When are print jobs deleted?")[0] for person in (ANNA, BEN))
    one, two = handovers.begin(first, ANNA, "").handover, handovers.begin(second, BEN, "").handover
    handovers.take(one, DORA)
    handovers.reply(one, DORA, "Hello")

    assert [handover.id for handover in handovers.open()] == [two, one], "who was answered does not wait"
    floor.archive.erase(BEN)
    assert [handover.id for handover in handovers.open()] == [one]
    with pytest.raises(DeskmateError, match="no such hand-over"):
        handovers.take(two, DORA)


def test_a_conversation_that_is_gone_is_not_handed_over(floor: Floor) -> None:
    with pytest.raises(DeskmateError, match="gone"):
        floor.staff.handovers.begin("f" * 32, BEN, "")
