"""The database: one version, one writer, nothing lost, and a plain sentence for whatever is wrong with it."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.accounts.audit import entries, note, verify
from app.database import FILE, VERSION, Database, audit, open_database, schema, sessions, users
from ingest.errors import DeskmateError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database("", tmp_path)
    yield database
    database.close()


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there"
    open_database("", home).close()
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    again = open_database("", home)
    with again.reading() as connection:
        assert connection.scalars(sa.select(schema.c.version)).all() == [VERSION]


def test_another_version_is_refused(tmp_path: Path, database: Database) -> None:
    with database.writing() as connection:
        connection.execute(schema.update().values(version=VERSION + 1))
    with pytest.raises(DeskmateError, match=rf"tables of version {VERSION + 1}, this deskmate knows {VERSION}"):
        open_database("", tmp_path)


@pytest.mark.parametrize("contents", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_foreign_file_is_refused_and_left_as_it_was(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / FILE).write_bytes(contents)
    with pytest.raises(DeskmateError, match="cannot be used"):
        open_database("", tmp_path)
    assert (tmp_path / FILE).read_bytes() == contents


def test_a_file_that_nobody_may_write_is_read_and_the_rest_is_said(tmp_path: Path) -> None:
    open_database("", tmp_path).close()
    readonly = Database(f"sqlite:///file:{tmp_path / FILE}?mode=ro&uri=true")
    assert entries(readonly) == []
    with pytest.raises(DeskmateError, match="readonly database"), readonly.writing() as connection:
        note(connection, "x", "y", {})


def test_a_workspace_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeskmateError, match="opening the database"):
        open_database("", tmp_path / "file")
    (tmp_path / FILE).mkdir()
    with pytest.raises(DeskmateError, match="cannot be used"):
        open_database("", tmp_path)


def test_a_database_that_another_process_holds_is_said_after_a_while(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.WAIT_S", 0.1)
    impatient = open_database("", tmp_path)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DeskmateError, match=r"locked.*try again"), impatient.writing() as connection:
        connection.execute(audit.delete())
    with impatient.reading() as connection:  # who reads is not held up
        assert connection.scalar(sa.select(sa.func.count()).select_from(audit)) == 0
    other.execute("ROLLBACK")
    with impatient.writing() as connection:
        note(connection, "x", "y", {})


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(audit)) or 0


def test_a_file_that_is_taken_away_is_noticed_and_used_again_when_it_is_back(
    tmp_path: Path, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    _write_one(database)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    for use in (count, _write_one, Database.ping):
        with pytest.raises(DeskmateError, match=r"^our database was taken away; try again when it is back$"):
            use(database)
    assert not (tmp_path / FILE).exists(), "no empty one is made in its place"
    assert f"{tmp_path / FILE} was taken away; put it back" in caplog.text
    (tmp_path / "elsewhere").rename(tmp_path / FILE)
    _write_one(database)
    assert count(database) == 2


def test_a_file_that_takes_the_place_of_the_database_is_left_alone(tmp_path: Path, database: Database) -> None:
    open_database("", tmp_path / "other").close()
    (tmp_path / "other" / FILE).replace(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    for use in (count, _write_one):
        with pytest.raises(DeskmateError, match="taken away"):
            use(database)
    assert (tmp_path / FILE).read_bytes() == before


def test_an_error_names_no_value_of_a_statement(database: Database) -> None:
    with pytest.raises(DeskmateError) as error, database.writing() as connection:
        connection.execute(sa.text("insert into nowhere values (:secret)"), {"secret": "hunter2"})
    assert "hunter2" not in str(error.value)


def test_an_address_that_cannot_work_is_said_without_its_password(tmp_path: Path) -> None:
    for url in (
        "postgresql+psycopg://desk:hunter2@127.0.0.1:1/desk?connect_timeout=1",
        "nonsense+driver://desk:hunter2@host/x",
        "hunter2 is no address",
    ):
        with pytest.raises(DeskmateError) as error:
            open_database(url, tmp_path)
        assert "hunter2" not in str(error.value)


def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    def half() -> None:
        with database.writing() as connection:
            note(connection, "x", "y", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert entries(database) == []


def test_what_belongs_to_somebody_goes_with_them(database: Database) -> None:
    with database.writing() as connection:
        values = {"name": "a", "shown": "a", "password": "", "subject": "", "groups": [], "role": "asker"}
        connection.execute(users.insert().values(id=7, disabled=False, created=0.0, **values))
        connection.execute(sessions.insert().values(token="t", user=7, created=0.0, seen=0.0, expires=0.0))
    with database.writing() as connection:
        connection.execute(users.delete())
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(sessions)) == 0


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(audit)
    with database.reading() as connection:
        assert connection.scalar(count) == 0
        thread = threading.Thread(target=lambda: _write_one(database))
        thread.start()
        thread.join()
        assert connection.scalar(count) == 0
    with database.reading() as connection:
        assert connection.scalar(count) == 1


def _write_one(database: Database) -> None:
    with database.writing() as connection:
        note(connection, "x", "y", {})


WRITER = """
import sys
from pathlib import Path
from app.accounts.audit import note
from app.database import open_database
database = open_database("", Path(sys.argv[1]))
n = 0
while True:
    with database.writing() as connection:
        note(connection, "writer", "x", {"n": n})
    print(n, flush=True)  # committed
    n += 1
"""


def test_kill_minus_9_in_the_middle_of_writing_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
            time.sleep(0.15)
            os.kill(writer.pid, signal.SIGKILL)
            said = [int(line) for line in writer.stdout.read().split("\n")[:-1]]
        database = open_database("", tmp_path)
        verdict = verify(database)
        assert verdict.problem == ""
        last = entries(database, 1)[0].about["n"]
        assert last in (said[-1], said[-1] + 1)  # it may have died between the commit and the word
        database.close()
