"""The database on PostgreSQL. What is kept in it is tested on both databases: see `database_url` in conftest.py."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from door_kit import PASSWORD, add, browser, front_door, quick_hasher, sign_in
from postgres_kit import new_database

from app.accounts.accounts import Accounts, Change, Identity
from app.accounts.audit import entries, note, verify
from app.database import Database, audit, open_database, schema, users
from app.people import Role
from ingest.errors import DeskmateError

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgres: str) -> str:
    """An empty database."""
    return new_database(postgres)


@pytest.fixture
def database(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    quick_hasher(monkeypatch)
    database = open_database(url, tmp_path)
    yield database
    database.close()


def test_tables_are_made_once_and_another_version_is_refused(database: Database, url: str, tmp_path: Path) -> None:
    open_database(url, tmp_path).close()
    with database.writing() as connection:
        connection.execute(schema.update().values(version=99))
    with pytest.raises(DeskmateError, match="tables of version 99") as error:
        open_database(url, tmp_path)
    assert "hunter2" not in str(error.value)
    assert not list(tmp_path.iterdir())  # no file of SQLite


def test_accounts_sign_in_and_out(database: Database, tmp_path: Path) -> None:
    user = add(database, groups=frozenset({"hr"}), role=Role.DESK)
    with pytest.raises(DeskmateError, match="there is an account 'anna' already"):
        add(database, "Anna")
    client = browser(front_door(database, tmp_path))
    assert client.get("/page").status_code == 401
    assert sign_in(client, password="wrong").status_code == 401
    assert sign_in(client).status_code == 303
    assert client.get("/page").json() == {"id": user.person.id, "name": "anna", "groups": ["hr"], "role": "desk"}
    Accounts(database).change("anna", "test", Change(disabled=True))
    assert client.get("/page").status_code == 401
    assert Accounts(database).check("anna", PASSWORD) is None
    assert Accounts(database).remove("anna", "test") == 0
    assert add(database, "bob").id > user.id
    assert Accounts(database).from_company(Identity("s", "carl", "Carl", frozenset({"it"}), None)).groups == {"it"}
    assert verify(database).problem == ""


def test_writers_at_the_same_time_make_one_chain(database: Database, url: str, tmp_path: Path) -> None:
    others = [open_database(url, tmp_path) for _ in range(4)]

    def some(mine: Database, name: str) -> None:
        for n in range(15):
            with mine.writing() as connection:
                note(connection, name, "x", {"n": n, "share": 0.1, "text": "é\x00"})

    threads = [threading.Thread(target=some, args=(one, f"w{n}")) for n, one in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(database)
    assert (verdict.rows, verdict.problem) == (60, "")
    with database.writing() as connection:
        connection.execute(audit.update().where(audit.c.id == 7).values(what="y"))
    assert verify(database).broken == 7
    for one in others:
        one.close()


def test_first_accounts_by_single_sign_on_at_the_same_time_are_one(database: Database) -> None:
    made: list[int] = []

    def come() -> None:
        for _ in range(3):
            made.append(Accounts(database).from_company(Identity("s", "anna", "A", None, None)).id)

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 18
    assert len(set(made)) == 1
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(users)) == 1


def test_a_server_that_is_gone_is_a_plain_sentence_and_one_that_is_back_is_used_again(
    database: Database, postgres: str
) -> None:
    with database.reading() as connection:
        connection.execute(sa.text("select 1"))
    engine = sa.create_engine(f"{postgres}postgres", isolation_level="AUTOCOMMIT")
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and usename = 'desk'"

    def use() -> None:
        with database.reading() as connection:
            with engine.connect() as other:
                other.execute(sa.text(cut))
            connection.execute(sa.text("select 1"))

    with pytest.raises(DeskmateError, match="try again when it is back"):
        use()
    engine.dispose()
    assert entries(database) == []
