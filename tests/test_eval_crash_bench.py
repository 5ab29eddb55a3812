"""The benchmark that ends the chat: it finds what is lost, and finds nothing lost."""

import sqlite3
from pathlib import Path

import pytest
from fake_desk import FakeDesk

from app.answering.answer import Finished
from app.answering.modes import Mode
from app.chat.archive import Archive, Outcome, Remembered
from app.chat.judgements import Judgement, Judgements
from app.database import open_database
from app.people import Person
from eval.bench.crash import Acknowledged, _lost, bench_crash
from ingest.errors import DeskmateError

ANNA = Person("guest-1", "Guest")


def test_what_is_not_there_is_counted_as_lost(tmp_path: Path) -> None:
    database, desk = open_database("", tmp_path), FakeDesk(0, 0)
    *_, last = desk.stream("error 809?", mode=Mode.RAG_ONLY, groups=frozenset())
    assert isinstance(last, Finished)
    conversation, exchange = Archive(database, desk).keep(ANNA, None, Outcome(last.answer, Remembered()))
    Judgements(database).judge(ANNA, exchange, Judgement("up"))
    told = Acknowledged({exchange: conversation}, {exchange: "up"})
    assert len(told) == 2
    assert _lost(tmp_path, told) == 0
    told = Acknowledged({exchange: "another", 99: conversation}, {exchange: "down", 98: "up"}, {conversation})
    assert _lost(tmp_path, told) == 5


def test_a_damaged_database_is_no_result(tmp_path: Path) -> None:
    open_database("", tmp_path).close()
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("INSERT INTO replies VALUES (1, 77, 0.0, 'a', 'b', 'c')")
    with pytest.raises(DeskmateError, match="the database did not survive"):
        _lost(tmp_path, Acknowledged())


@pytest.mark.slow
def test_nothing_that_was_acknowledged_is_lost_by_sigterm_or_kill() -> None:
    polite, hard = bench_crash(6, seed=1)
    assert (polite["lost"], hard["lost"]) == (0, 0)
    assert polite["acknowledged"] > 0
    assert hard["acknowledged"] > 0
    assert (polite["other exit codes"], hard["other exit codes"]) == (0, 0)
