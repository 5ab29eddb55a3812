"""Accounts: names, passwords, groups, and what goes when somebody goes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from door_kit import PASSWORD, add, fresh_database, quick_hasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.accounts.accounts import Accounts, Change, Identity, check_password
from app.cli import app as command
from app.database import Database, conversations, open_database, users
from app.people import Role
from ingest.errors import DeskmateError


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_hasher(monkeypatch)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    yield from fresh_database(tmp_path)


def kept(database: Database, name: str) -> str:
    with database.reading() as connection:
        return str(connection.scalar(sa.select(users.c.password).where(users.c.name == name)))


def test_an_account_is_found_in_either_case_and_keeps_no_password(database: Database) -> None:
    user = add(database, "Anna.Berg@example.org", groups=frozenset({" hr ", "everyone", ""}))
    assert (user.name, user.groups, user.role) == ("anna.berg@example.org", frozenset({"hr"}), Role.ASKER)
    accounts = Accounts(database)
    assert accounts.find("ANNA.berg@example.org") == user
    assert accounts.check("ANNA.BERG@example.org ", PASSWORD) == user
    assert kept(database, user.name).startswith("$argon2id$")
    assert PASSWORD not in kept(database, user.name)


@pytest.mark.parametrize("wrong", ["", " ", PASSWORD + " ", PASSWORD.upper(), "x" * 5000, "\x00", "ä"])
def test_only_the_password_itself_is_right(database: Database, wrong: str) -> None:
    add(database)
    assert Accounts(database).check("anna", wrong) is None


@pytest.mark.parametrize("name", ["", "a b", "-x", "ä", "x" * 65, "a/b", "a\nb", "'; drop table users; --"])
def test_a_name_that_is_none_is_refused(database: Database, name: str) -> None:
    with pytest.raises(DeskmateError, match="is no name for an account"):
        add(database, name)


def test_a_name_is_taken_once(database: Database) -> None:
    add(database)
    with pytest.raises(DeskmateError, match="there is an account 'anna' already"):
        add(database, "ANNA")


@pytest.mark.parametrize(
    "password",
    ["", "short", "password123", "1234567890", "0987654321", "aaaaaaaaaaaa", "abcdefghijkl", "ababababab",
     "qwertyuiop1", "Welcome2026!", "helpdesk-2026", "anna.berg.1990", "12 34 56 78 90", "!!!!????!!!!"],
)  # fmt: skip
def test_a_password_that_is_guessed_first_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(DeskmateError) as error:
        check_password(password, "anna.berg@example.org")
    assert not password or password not in str(error.value)


@pytest.mark.parametrize(
    "password", [PASSWORD, "correct horse battery", "Tr0ub4dor&3x", "müde-Katze-schläft", "日本語のパスワードです"]
)
def test_a_few_words_are_a_good_password(password: str) -> None:
    check_password(password, "anna")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(min_size=10, max_size=60), st.text(min_size=1, max_size=60))
def test_no_other_password_lets_in(database: Database, password: str, other: str) -> None:
    accounts = Accounts(database)
    try:
        check_password(password, "x")
        password.encode()
        other.encode()
    except (DeskmateError, UnicodeEncodeError):
        return
    if not any(user.name == "x" for user in accounts.all()):
        accounts.add("x", "test", Change(password=password))
    accounts.change("x", "test", Change(password=password))
    assert accounts.check("x", password) is not None
    assert other == password or accounts.check("x", other) is None


def test_an_old_hash_is_made_anew_when_its_owner_comes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add(database)
    before = kept(database, "anna")
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr("app.accounts.accounts._hasher", lambda: stronger)
    assert Accounts(database).check("anna", "wrong") is None
    assert kept(database, "anna") == before
    assert Accounts(database).check("anna", PASSWORD) is not None
    assert kept(database, "anna") != before
    assert Accounts(database).check("anna", PASSWORD) is not None


def test_a_removed_account_takes_its_conversations_and_its_number_with_it(database: Database) -> None:
    first, second = add(database, "anna"), add(database, "bob")
    with database.writing() as connection:
        for number, owner in enumerate((first, first, second)):
            connection.execute(
                conversations.insert().values(
                    id=f"c{number}", owner=owner.person.id, title="t", created=time.time(), updated=time.time()
                )
            )
    accounts = Accounts(database)
    assert accounts.conversations(first) == 2
    assert accounts.remove("bob", "test") == 1
    assert accounts.conversations(first) == 2
    assert add(database, "carl").id > second.id  # who comes later is never taken for who has gone


# Single sign-on


def identity(subject: str = "https://id.example 1", name: str = "anna", **more: object) -> Identity:
    values = {"shown": "Anna", "groups": None, "role": None} | more
    return Identity(subject, name, **values)  # type: ignore[arg-type]


def test_an_account_is_made_at_the_first_sign_in_and_known_by_its_subject(database: Database) -> None:
    accounts = Accounts(database)
    made = accounts.from_company(identity(groups=frozenset({"hr"}), role=Role.DESK))
    assert (made.name, made.groups, made.role, made.single_sign_on) == ("anna", frozenset({"hr"}), Role.DESK, True)
    again = accounts.from_company(identity(name="anna.married", groups=frozenset({"it"}), role=Role.ASKER))
    assert (again.id, again.name, again.groups, again.role) == (made.id, "anna", frozenset({"it"}), Role.ASKER)
    assert accounts.check("anna", "") is None


def test_what_the_provider_does_not_decide_stays_as_it_was_set(database: Database) -> None:
    accounts = Accounts(database)
    accounts.from_company(identity())
    accounts.change("anna", "test", Change(groups=frozenset({"hr"}), role=Role.ADMIN))
    user = accounts.from_company(identity())
    assert (user.groups, user.role) == (frozenset({"hr"}), Role.ADMIN)


def test_nobody_takes_over_another_account_by_its_name(database: Database) -> None:
    accounts = Accounts(database)
    add(database, "anna", role=Role.ADMIN)
    with pytest.raises(DeskmateError, match="belongs to another account"):
        accounts.from_company(identity())
    accounts.from_company(identity("s 2", "bob"))
    with pytest.raises(DeskmateError, match="belongs to another account"):
        accounts.from_company(identity("s 3", "Bob"))
    accounts.change("anna", "test", Change(password=""))  # an administrator gives it to single sign-on
    assert accounts.from_company(identity()).role is Role.ADMIN


def test_a_disabled_account_stays_out(database: Database) -> None:
    accounts = Accounts(database)
    accounts.from_company(identity())
    accounts.change("anna", "test", Change(disabled=True))
    with pytest.raises(DeskmateError, match="disabled"):
        accounts.from_company(identity())


# The command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))

    def invoke(*words: str, typed: str = "") -> tuple[int, str, str]:
        result = CliRunner().invoke(command, ["users", *words], input=typed)
        problem = "" if result.exception is None or isinstance(result.exception, SystemExit) else str(result.exception)
        return result.exit_code, result.stdout, problem + result.stderr

    return invoke


def test_users_are_added_listed_changed_and_removed(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "everybody is a guest" in run("list")[1]
    code, said, more = run("add", "anna", "--groups", "hr,it", "--role", "desk", "--name", "Anna Berg",
                           "--password-stdin", typed=f"{PASSWORD}\n")  # fmt: skip
    assert (code, "from now on everybody signs in" in more) == (0, True)
    assert PASSWORD not in said + more
    assert run("add", "sso", "--no-password")[0] == 0
    found = json.loads(run("list", "--json")[1])["users"]
    assert [(one["account"], one["role"], one["groups"], one["ways"]) for one in found] == [
        ("anna", "desk", ["hr", "it"], ["password"]),
        ("sso", "asker", [], []),
    ]
    assert run("set", "anna", "--groups", "", "--role", "admin", "--disable")[0] == 0
    anna = Accounts(open_database("", tmp_path)).find("anna")
    assert (anna.groups, anna.role, anna.disabled) == (frozenset(), Role.ADMIN, True)
    assert run("password", "anna", "--password-stdin", typed="another long one\n")[0] == 0
    assert "would be erased; say --yes" in run("remove", "anna")[2]
    assert "removed, with 0 conversations" in run("remove", "anna", "--yes")[1]
    assert "the last account" in run("remove", "sso", "--yes")[2]


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [
        (("add", "anna", "--password-stdin"), "kurz\n", "fewer than 10 characters"),
        (("add", "anna", "--password-stdin"), "", "fewer than 10 characters"),
        (("add", "anna"), f"{PASSWORD}\n", "nobody is there to type a password"),
        (("add", "a b", "--no-password"), "", "is no name for an account"),
        (("add", "anna", "--no-password", "--groups", "x" * 200), "", "is no group"),
        (("set", "nobody", "--disable"), "", "there is no account 'nobody'"),
        (("password", "nobody", "--password-stdin"), f"{PASSWORD}\n", "there is no account"),
        (("remove", "nobody", "--yes"), "", "there is no account"),
        (("set", "anna"), "", "say what to change"),
        (("add", "anna", "--role", "king"), "", "is none of asker, desk, admin"),
    ],
)
def test_what_cannot_be_done_is_said(run, words: tuple[str, ...], typed: str, message: str) -> None:  # type: ignore[no-untyped-def]
    code, _, said = run(*words, typed=typed)
    assert code != 0
    assert message in " ".join(said.replace("│", " ").split())
