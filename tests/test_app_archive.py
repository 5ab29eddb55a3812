"""Kept conversations: nothing is lost, nothing is shown to those who may not see it, and what is erased is gone."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fake_desk import DOCUMENTS, FakeDesk
from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounts import audit
from app.answering.answer import Answer, Finished
from app.answering.modes import Mode
from app.chat.archive import LONGEST_TITLE, Archive, Judgement, Outcome, Remembered, shortened
from app.chat.judgements import Judgements, labels
from app.database import Database, conversations, corrections, exchanges, handovers, judgements, open_database
from app.people import Person
from finetune.curation.feedback import Label
from ingest.errors import DeskmateError

ANNA = Person("user-1", "Anna", frozenset({"hr"}))
BRAM = Person("user-2", "Bram")


def answer_to(desk: FakeDesk, question: str, mode: Mode = Mode.RAG_ONLY, person: Person = ANNA) -> Answer:
    *_, last = desk.stream(question, mode=mode, groups=person.groups)
    assert isinstance(last, Finished)
    return last.answer


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk(word_s=0, prefill_s=0)


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    database = open_database(database_url, tmp_path)
    yield database
    database.close()


@pytest.fixture
def archive(database: Database, desk: FakeDesk) -> Archive:
    return Archive(database, desk)


def keep(
    archive: Archive, desk: FakeDesk, question: str, conversation: str | None = None, person: Person = ANNA
) -> tuple[str, int]:
    """Ask as the chat does: with what was said before."""
    remembered = archive.remember(person, conversation)
    answer = answer_to(desk, question, person=person)
    return archive.keep(person, conversation, Outcome(answer, remembered))


def count(database: Database, table: sa.Table) -> int:
    with database.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.mark.parametrize("question", ["vpn 809", "lost phone steps", "Who paints the bridge?", "annual leave in Porto"])
@pytest.mark.parametrize("mode", [Mode.RAG_ONLY, Mode.PROMPT_ONLY, Mode.HYBRID])
def test_an_answer_comes_back_as_it_was(archive: Archive, desk: FakeDesk, question: str, mode: Mode) -> None:
    answer = answer_to(desk, question, mode)
    conversation, exchange = archive.keep(ANNA, None, Outcome(answer, Remembered()))
    (kept,) = archive.read(ANNA, conversation)
    assert kept.answer == answer
    assert (kept.id, kept.question, kept.stopped, kept.judgement) == (exchange, question, False, None)
    assert archive.exchange(ANNA, exchange) == kept


def test_what_is_kept_survives_the_process(archive: Archive, desk: FakeDesk, tmp_path: Path, database_url: str) -> None:
    conversation, _ = keep(archive, desk, "vpn 809")
    later = open_database(database_url, tmp_path)  # the first one is not closed, as after kill -9
    assert [one.question for one in Archive(later, desk).read(ANNA, conversation)] == ["vpn 809"]
    later.close()


def test_passages_texts_are_not_kept(archive: Archive, desk: FakeDesk, database: Database) -> None:
    keep(archive, desk, "vpn 809")
    with database.reading() as connection:
        record = connection.execute(sa.select(exchanges.c.record)).scalar_one()
    kept = json.dumps(record)
    assert "Check that you have internet at all" not in kept, "text of the prompt's passage that no answer quotes"
    assert "UDP port 4500 is blocked" in kept, "what the answer itself quotes is"


def test_nobody_else_finds_a_conversation(archive: Archive, desk: FakeDesk) -> None:
    conversation, exchange = keep(archive, desk, "vpn 809")
    assert archive.title(BRAM, conversation) is None
    assert archive.read(BRAM, conversation) == []
    assert archive.exchange(BRAM, exchange) is None
    assert archive.listed(BRAM) == []
    assert archive.listed(BRAM, "vpn") == []
    assert not archive.rename(BRAM, conversation, "mine")
    assert archive.erase(BRAM, conversation) == 0
    assert archive.erase(BRAM) == 0
    assert archive.remember(BRAM, conversation).turns == ()
    with pytest.raises(DeskmateError, match="was erased meanwhile"):
        keep(archive, desk, "vpn 809", conversation, BRAM)
    assert [one.title for one in archive.listed(ANNA)] == ["vpn 809"]


def test_an_answer_is_not_shown_when_its_document_is_closed_to_its_asker(archive: Archive, desk: FakeDesk) -> None:
    desk.closed["hr/annual-leave.pdf"] = frozenset({"hr"})
    conversation, _ = keep(archive, desk, "annual leave in Porto")
    assert archive.read(ANNA, conversation)[0].answer is not None
    moved = dataclasses.replace(ANNA, groups=frozenset())
    (kept,) = archive.read(moved, conversation)
    assert (kept.question, kept.answer) == ("annual leave in Porto", None)
    assert archive.remember(moved, conversation).turns == (), "the model is not told either"
    assert archive.listed(moved, "30 April") == [], "and searching does not tell"
    assert archive.listed(moved, "annual") != [], "their own words stay theirs"
    assert archive.listed(ANNA, "30 april") != []


def test_what_an_answer_learned_from_earlier_turns_closes_it_too(archive: Archive, desk: FakeDesk) -> None:
    desk.closed["hr/annual-leave.pdf"] = frozenset({"hr"})
    conversation, _ = keep(archive, desk, "annual leave in Porto")
    conversation, _ = keep(archive, desk, "hotel in Munich", conversation)
    moved = dataclasses.replace(ANNA, groups=frozenset())
    assert [one.answer for one in archive.read(moved, conversation)] == [None, None]


def test_a_passage_that_was_only_found_is_left_out_when_it_is_closed(archive: Archive, desk: FakeDesk) -> None:
    conversation, _ = keep(archive, desk, "vpn 809")
    desk.closed["it/notes.md"] = frozenset({"hr"})  # the sixth of six: the prompt holds three
    moved = dataclasses.replace(ANNA, groups=frozenset())
    (kept,) = archive.read(moved, conversation)
    assert kept.answer is not None
    assert "it/notes.md" not in {hit.chunk.doc for hit in kept.answer.hits}
    assert len(kept.answer.hits) == 5


def test_another_document_under_the_same_name_opens_nothing(
    archive: Archive, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.closed["hr/annual-leave.pdf"] = frozenset({"hr"})
    conversation, _ = keep(archive, desk, "annual leave in Porto")
    text = dataclasses.replace(DOCUMENTS["hr/annual-leave.pdf"], text="For everybody: see the wall.")
    monkeypatch.setitem(DOCUMENTS, "hr/annual-leave.pdf", text)
    del desk.closed["hr/annual-leave.pdf"]
    moved = dataclasses.replace(ANNA, groups=frozenset())
    assert archive.read(moved, conversation)[0].answer is None
    assert archive.listed(moved, "30 April") == []
    (kept,) = archive.read(ANNA, conversation)
    assert kept.answer is not None, "who could read the old one still may"
    assert archive.remember(ANNA, conversation).turns == (), "but the model is not told what is outdated"


@pytest.mark.parametrize("docs", [{}, {"hr/annual-leave.pdf": "as it was"}])
def test_an_answer_of_the_help_desk_is_for_those_it_was_written_for(
    archive: Archive, desk: FakeDesk, database: Database, docs: dict[str, str]
) -> None:
    desk.closed["hr/annual-leave.pdf"] = frozenset({"hr"})
    row = {
        "key": "k", "question": "q", "answer": "a", "citations": [], "docs": docs, "access": [["hr"]],
        "state": "serving",
        "author": "user-9", "author_name": "Dora", "reviewer": "", "at": 0.0,
    }  # fmt: skip
    with database.writing() as connection:
        number = connection.execute(corrections.insert().values(row)).inserted_primary_key[0]
    answer = dataclasses.replace(answer_to(desk, "vpn"), citations=(), hits=(), passages=0, corrected=number)
    conversation, _ = archive.keep(ANNA, None, Outcome(answer, Remembered()))
    archive.keep(ANNA, conversation, Outcome(answer_to(desk, "phone"), archive.remember(ANNA, conversation)))
    moved = dataclasses.replace(ANNA, groups=frozenset())
    assert [one.answer is None for one in archive.read(ANNA, conversation)] == [False, False]
    assert [one.answer is None for one in archive.read(moved, conversation)] == [True, True]


DOCS = sorted(DOCUMENTS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all examples of a property."""
    database = open_database("", tmp_path_factory.mktemp("home"))
    yield database
    database.close()


@settings(max_examples=25)
@given(
    questions=st.lists(
        st.sampled_from(["vpn", "phone", "munich", "leave", "hostile", "bridge"]), min_size=1, max_size=4
    ),
    closed=st.dictionaries(st.sampled_from(DOCS), st.sets(st.sampled_from(["hr", "it"]), min_size=1)),
    groups=st.sets(st.sampled_from(["hr", "it"])),
)
def test_nothing_of_a_closed_document_is_ever_shown(
    shared: Database, questions: list[str], closed: dict[str, set[str]], groups: set[str]
) -> None:
    desk = FakeDesk(0, 0)
    archive, conversation = Archive(shared, desk), None
    archive.erase(ANNA)
    for question in questions:
        conversation, _ = keep(archive, desk, question, conversation)
    assert conversation is not None
    desk.closed = {doc: frozenset(names) for doc, names in closed.items()}
    now = dataclasses.replace(ANNA, groups=frozenset(groups))
    forbidden = {doc for doc, names in closed.items() if not names & groups}
    for kept in archive.read(now, conversation):
        shown = kept.answer
        if shown is None:
            continue
        assert not forbidden & {hit.chunk.doc for hit in shown.hits}
        assert not forbidden & {citation.doc for citation in shown.citations}
    told = " ".join(turn["content"] for turn in archive.remember(now, conversation).turns)
    for doc, secret in (("hr/annual-leave.pdf", "30 April"), ("travel/per-diem-and-hotel-caps.xlsx", "175 euros")):
        if doc in forbidden:
            assert secret not in told
            assert archive.listed(now, secret) == []


def test_the_model_is_told_the_last_answers_only(archive: Archive, desk: FakeDesk) -> None:
    conversation = None
    for question in ("vpn", "phone", "who paints the bridge", "munich hotel", "leave"):
        conversation, last = keep(archive, desk, question, conversation)
    asked = [turn["content"] for turn in archive.remember(ANNA, conversation).turns if turn["role"] == "user"]
    assert asked == ["phone", "munich hotel", "leave"]
    again = archive.remember(ANNA, conversation, without=last)
    assert [turn["content"] for turn in again.turns if turn["role"] == "user"] == ["vpn", "phone", "munich hotel"]


def test_search_finds_words_of_questions_answers_and_titles_in_any_case(archive: Archive, desk: FakeDesk) -> None:
    vpn, _ = keep(archive, desk, "VPN Fehler 809: Wo finde ich ÄRGER?")
    phone, _ = keep(archive, desk, "lost phone")
    archive.rename(ANNA, phone, "100 % Straße_x")
    assert [one.id for one in archive.listed(ANNA)] == [phone, vpn]
    for search, found in (
        ("ärger", [vpn]),
        ("port 4500", [vpn]),
        ("straße", [phone]),
        ("0 %", [phone]),
        ("_", [phone]),
    ):
        assert [one.id for one in archive.listed(ANNA, search)] == found, search
    assert archive.listed(ANNA, "%%%") == []


def test_a_replaced_exchange_goes_unless_somebody_judged_it(
    archive: Archive, desk: FakeDesk, database: Database
) -> None:
    conversation, first = keep(archive, desk, "vpn")
    answer = answer_to(desk, "phone")
    _, second = archive.keep(ANNA, conversation, Outcome(answer, Remembered(), replaces=first))
    assert [one.id for one in archive.read(ANNA, conversation)] == [second]
    assert count(database, exchanges) == 1
    Judgements(database).judge(ANNA, second, Judgement("down", "wrong"))
    _, third = archive.keep(ANNA, conversation, Outcome(answer, Remembered(), replaces=second))
    assert [one.id for one in archive.read(ANNA, conversation)] == [third]
    assert [label["verdict"] for label in labels(database)] == ["down"], "what was said of it still counts"
    assert archive.listed(ANNA, "vpn") != [], "it is the title"


def test_nobody_replaces_what_is_in_another_conversation(archive: Archive, desk: FakeDesk) -> None:
    theirs, exchange = keep(archive, desk, "vpn", person=BRAM)
    archive.keep(ANNA, None, Outcome(answer_to(desk, "phone"), Remembered(), replaces=exchange))
    assert len(archive.read(BRAM, theirs)) == 1


def test_what_is_erased_is_gone_and_the_audit_counts_it(archive: Archive, desk: FakeDesk, database: Database) -> None:
    first, exchange = keep(archive, desk, "vpn")
    keep(archive, desk, "phone", first)
    second, _ = keep(archive, desk, "a question about munich")
    theirs, _ = keep(archive, desk, "leave", person=BRAM)
    Judgements(database).judge(ANNA, exchange, Judgement("up"))
    assert archive.erase(ANNA, first) == 1
    assert [one.id for one in archive.listed(ANNA)] == [second]
    assert count(database, judgements) == 0
    assert archive.erase(ANNA) == 1
    assert [count(database, table) for table in (conversations, exchanges, handovers)] == [1, 1, 0]
    assert archive.title(BRAM, theirs) == "leave"
    noted = [entry for entry in audit.entries(database) if entry.what == "conversations.erased"]
    assert [dict(entry.about) for entry in reversed(noted)] == [
        {"conversations": 1, "exchanges": 2},
        {"conversations": 1, "exchanges": 1},
    ]


def test_an_answer_that_comes_after_its_conversation_was_erased_brings_nothing_back(
    archive: Archive, desk: FakeDesk, database: Database
) -> None:
    conversation, _ = keep(archive, desk, "vpn")
    archive.erase(ANNA, conversation)
    with pytest.raises(DeskmateError, match="erased meanwhile"):
        archive.keep(ANNA, conversation, Outcome(answer_to(desk, "phone"), Remembered()))
    assert count(database, exchanges) == 0


@given(st.text())
def test_a_title_is_one_short_line(text: str) -> None:
    title = shortened(text)
    assert 0 < len(title) <= LONGEST_TITLE
    assert title == " ".join(title.split())


# What is said of answers.


def test_a_judgement_can_be_changed_and_taken_back(archive: Archive, desk: FakeDesk, database: Database) -> None:
    conversation, exchange = keep(archive, desk, "vpn")
    says = Judgements(database)
    for judgement in (Judgement("up"), Judgement("down"), Judgement("down", "outdated", "Use port 443.")):
        assert says.judge(ANNA, exchange, judgement)
        assert archive.read(ANNA, conversation)[0].judgement == judgement
    assert count(database, judgements) == 1
    says.withdraw(ANNA, exchange)
    assert archive.read(ANNA, conversation)[0].judgement is None


def test_only_the_asker_judges_an_answer(archive: Archive, desk: FakeDesk, database: Database) -> None:
    _, exchange = keep(archive, desk, "vpn")
    says = Judgements(database)
    assert not says.judge(BRAM, exchange, Judgement("down"))
    assert not says.judge(ANNA, exchange + 1, Judgement("down"))
    says.judge(ANNA, exchange, Judgement("up"))
    says.withdraw(BRAM, exchange)
    assert [label["verdict"] for label in labels(database)] == ["up"]


def test_a_judgement_is_a_label_for_tuning(archive: Archive, desk: FakeDesk, database: Database) -> None:
    conversation, first = keep(archive, desk, "vpn")
    _, second = keep(archive, desk, "lost phone", conversation)
    says = Judgements(database)
    says.judge(ANNA, second, Judgement("down", "wrong", "my own words, which nobody has reviewed"))
    says.judge(ANNA, first, Judgement("up"))
    down, up = labels(database, {second: "Call extension 4000 [1]."})
    Label.model_validate(down), Label.model_validate(up)
    assert (down["verdict"], down["correction"], up["verdict"]) == ("down", "Call extension 4000 [1].", "up")
    assert len(down["passages"]) == 3
    assert down["history"][0] == {"role": "user", "content": "vpn"}
    assert down["answer"].startswith("Call the Service Desk")
    assert "it/vpn-guide.md" in down["docs"], "also what it learned from the turn before"
    assert set(map(tuple, down["access"])) == {("everyone",)}
    assert down["conversation"] == up["conversation"]
    assert "user-1" not in json.dumps([down, up])
    assert conversation not in json.dumps([down, up])
    assert next(labels(database))["correction"] == "", "an asker's words are no label by themselves"


def test_a_refusal_before_the_model_and_a_stopped_answer_are_no_labels(
    archive: Archive, desk: FakeDesk, database: Database
) -> None:
    _, refusal = keep(archive, desk, "who paints the bridge")
    stopped = Outcome(answer_to(desk, "vpn"), Remembered(), stopped=True)
    _, half = archive.keep(ANNA, None, stopped)
    for exchange in (refusal, half):
        Judgements(database).judge(ANNA, exchange, Judgement("down"))
    assert list(labels(database)) == []
