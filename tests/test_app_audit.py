"""The audit: a chain that shows every change made behind its back."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from door_kit import fresh_database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.accounts.audit import FIRST, entries, note, verify
from app.database import Database, audit, users


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    yield from fresh_database(tmp_path)


def write(database: Database, *whats: str) -> None:
    for what in whats:
        with database.writing() as connection:
            note(connection, "user-1", what, {"conversation": "c1", "count": 2, "share": 0.1, "more": [1, None, "é"]})


def meddle(database: Database, statement: Any) -> None:
    with database.writing() as connection:
        connection.execute(statement)


def test_rows_come_back_newest_first_and_whole(database: Database) -> None:
    write(database, "first", "second")
    found = entries(database, 1)
    assert [(one.who, one.what) for one in found] == [("user-1", "second")]
    assert found[0].about == {"conversation": "c1", "count": 2, "share": 0.1, "more": [1, None, "é"]}
    verdict = verify(database)
    assert (verdict.rows, verdict.problem, len(verdict.head)) == (2, "", 64)


def test_an_empty_audit_is_whole(database: Database) -> None:
    assert verify(database).head == FIRST
    assert verify(database, FIRST).problem == ""


@pytest.mark.parametrize(
    "values",
    [
        {"who": "user-2"}, {"what": "nothing"}, {"at": 0.0}, {"about": {}}, {"hash": "0" * 64}, {"previous": "1" * 64},
    ],
)  # fmt: skip
def test_a_row_that_was_changed_is_named(database: Database, values: dict[str, Any]) -> None:
    write(database, *"abcde")
    meddle(database, audit.update().where(audit.c.id == 3).values(**values))
    verdict = verify(database)
    assert verdict.broken == 3
    assert verdict.rows == 2


@pytest.mark.parametrize(("gone", "broken"), [(1, 2), (3, 4)])
def test_a_row_that_was_removed_is_found_at_the_next(database: Database, gone: int, broken: int) -> None:
    write(database, *"abcde")
    meddle(database, audit.delete().where(audit.c.id == gone))
    verdict = verify(database)
    assert verdict.broken == broken
    assert "removed" in verdict.problem


def test_a_row_that_was_slipped_in_is_found(database: Database) -> None:
    write(database, "a", "b")
    with database.reading() as connection:
        row = connection.execute(sa.select(audit).where(audit.c.id == 2)).one()._asdict()
    meddle(database, audit.insert().values(**row | {"id": 3, "what": "c", "hash": "f" * 64}))
    assert verify(database).broken == 3


def test_two_rows_that_changed_places_are_found(database: Database) -> None:
    write(database, *"abcd")
    for one, other in ((2, 99), (3, 2), (99, 3)):
        meddle(database, audit.update().where(audit.c.id == one).values(id=other))
    assert verify(database).broken == 2


def test_a_cut_end_is_found_by_the_head_that_was_kept(database: Database) -> None:
    write(database, *"abc")
    head = verify(database).head
    write(database, "d")
    assert verify(database, head).problem == ""  # it has grown since
    meddle(database, audit.delete().where(audit.c.id >= 3))
    assert verify(database).problem == ""
    assert "removed at the end" in verify(database, head).problem


def test_what_is_taken_back_leaves_no_row(database: Database) -> None:
    write(database, "a")
    with contextlib.suppress(RuntimeError), database.writing() as connection:
        note(connection, "user-1", "never", {})
        raise RuntimeError
    write(database, "b")
    assert [one.what for one in entries(database)] == ["b", "a"]
    assert verify(database).problem == ""


def test_writers_at_the_same_time_make_one_chain(database: Database) -> None:
    def some(name: str) -> None:
        write(database, *(f"{name}{n}" for n in range(10)))

    threads = [threading.Thread(target=some, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(database)
    assert (verdict.rows, verdict.problem) == (40, "")


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_whatever_json_it_is_about_it_reads_back_the_same(database: Database, about: dict[str, Any]) -> None:
    with database.writing() as connection:
        note(connection, "user-1", "x", about)
    assert verify(database).problem == ""


def test_the_command_prints_a_head_and_takes_it_and_fails_on_a_broken_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from typer.testing import CliRunner

    from app.cli import app
    from app.database import open_database

    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))
    run = CliRunner().invoke
    assert "nothing was recorded yet" in run(app, ["audit", "show"]).output
    database = open_database("", tmp_path)
    write(database, *"abc")
    found = json.loads(run(app, ["audit", "verify", "--json"]).stdout)
    assert (found["whole"], found["entries"], found["broken"]) == (True, 3, None)
    assert run(app, ["audit", "verify", "--head", found["head"]]).exit_code == 0
    shown = json.loads(run(app, ["audit", "show", "-n", "2", "--json"]).stdout)["entries"]
    assert [one["what"] for one in shown] == ["c", "b"]
    meddle(database, audit.update().where(audit.c.id == 2).values(what="z"))
    broken = run(app, ["audit", "verify", "--json"])
    assert json.loads(broken.stdout)["broken"] == 2
    assert "entry 2 was changed" in str(broken.exception)


def test_the_audit_stands_when_the_account_it_tells_of_is_gone(database: Database) -> None:
    from app.accounts.accounts import Accounts, Change

    accounts = Accounts(database)
    accounts.add("anna", "test", Change())
    accounts.remove("anna", "test")
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(users)) == 0
    assert [one.what for one in entries(database)] == ["account.removed", "account.added"]
