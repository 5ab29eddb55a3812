"""Accounts: who may sign in, what they may read and do. Knows sessions only to end them, and no HTTP.

Passwords are kept as argon2id hashes. An account without a password is for somebody who comes by single sign-on.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.accounts import audit
from app.database import Database, alone, conversations, sessions, users
from app.people import Person, Role
from ingest.errors import DeskmateError

SHORTEST = 10
LONGEST = 1024
"""Characters of a password. Longer ones would only make the hash work."""

COMMON = re.compile(
    "password|passwort|letmein|welcome|willkommen|admin(istrator)?|qwert[yz]u?i?o?p?|iloveyou|sunshine|football|"
    "baseball|superman|princess|trustno|changeme|default|secret|geheim|helpdesk|deskmate|"
)
"""No password may be one of these words, or none, with nothing but digits and signs around it."""

COMPANY = "single sign-on"
"""Who acts, for the audit, where the company's sign-in decides."""

_EMPTY = {"subject": "", "password": "", "groups": [], "role": Role.ASKER.value, "disabled": False}
"""An account that nothing is known of yet."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_GROUP = re.compile(r"\S(.{0,126}\S)?")


@dataclass(frozen=True, slots=True)
class User:
    """An account. `password` and `single_sign_on` say by which ways it can sign in; `created` is a time."""

    id: int
    name: str
    shown: str
    groups: frozenset[str]
    role: Role
    disabled: bool
    password: bool
    single_sign_on: bool
    created: float

    @property
    def person(self) -> Person:
        """Who has signed in with it."""
        return Person(f"user-{self.id}", self.shown, self.groups, self.role)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom single sign-on lets in. `subject` names them for ever; `groups` and `role` are None where it is silent."""

    subject: str
    name: str
    shown: str
    groups: frozenset[str] | None
    role: Role | None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different about an account; None leaves it."""

    shown: str | None = None
    groups: frozenset[str] | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: str | None = None
    """A new one; empty for none, so that only single sign-on lets in."""


class Accounts:
    """The table `users`. Names are compared in lower case."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[User, ...]:
        """Every account by name."""
        with self._database.reading() as connection:
            return tuple(_user(row) for row in connection.execute(sa.select(users).order_by(users.c.name)))

    def any(self) -> bool:
        """Whether there is an account at all, so that everybody signs in."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(users.c.id).limit(1)) is not None

    def find(self, name: str) -> User:
        """The account of that name.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.reading() as connection:
            return _user(_row(connection, name))

    def add(self, name: str, by: str, change: Change) -> User:
        """Make an account.

        Args:
            name: to sign in with.
            by: who makes it, for the audit.
            change: what it starts with; an asker without groups by default.

        Raises:
            DeskmateError: a bad or taken name, a bad group, or a password that is too easy.
        """
        name = checked_name(name)
        values = {**_EMPTY, "shown": name, **_values(name, change)}
        try:
            with self._database.writing() as connection:
                made = connection.execute(
                    users.insert().values(name=name, created=time.time(), **values).returning(users)
                ).one()
                audit.note(connection, by, "account.added", _noted(made.id, values))
        except sa.exc.IntegrityError:
            raise DeskmateError(
                f"there is an account {name!r} already; change it with: deskmate users set {name}"
            ) from None
        return _user(made)

    def change(self, name: str, by: str, change: Change) -> User:
        """Change an account. A new password and a disabled account end its sessions; the rest counts at once anyway.

        Raises:
            DeskmateError: there is none, a bad group, or a password that is too easy.
        """
        values = _values(checked_name(name), change)
        with self._database.writing() as connection:
            row = _row(connection, name)
            if values:
                connection.execute(users.update().where(users.c.id == row.id).values(**values))
            if change.password is not None or change.disabled:
                connection.execute(sessions.delete().where(sessions.c.user == row.id))
            audit.note(connection, by, "account.changed", _noted(row.id, values))
            return _user(_row(connection, name))

    def remove(self, name: str, by: str) -> int:
        """Remove an account with its conversations and all that hangs on them.

        Returns:
            How many conversations went with it.

        Raises:
            DeskmateError: there is none.
        """
        with self._database.writing() as connection:
            row = _row(connection, name)
            gone = connection.execute(conversations.delete().where(conversations.c.owner == f"user-{row.id}")).rowcount
            connection.execute(users.delete().where(users.c.id == row.id))
            audit.note(connection, by, "account.removed", {"user": row.id, "conversations": gone})
        return gone

    def conversations(self, user: User) -> int:
        """How many conversations an account has."""
        own = conversations.c.owner == user.person.id
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(own)) or 0

    def from_company(self, identity: Identity) -> User:
        """The account of whom single sign-on lets in, made the first time, with what the provider decides.

        An account without a password that nobody has come to yet is taken by who has its name: an administrator made it
        for them. Any other of that name is not theirs.

        Raises:
            DeskmateError: the account is disabled, the name is none or another's, or a group is none.
        """
        values = _values("", Change(identity.shown, identity.groups, identity.role))
        with self._database.writing() as connection:
            alone(connection, users)  # somebody may come twice at the same time
            row = connection.execute(sa.select(users).where(users.c.subject == identity.subject)).one_or_none()
            if row is None:
                row = self._taken_over(connection, checked_name(identity.name), identity.subject)
            if row.disabled:
                raise DeskmateError("this account is disabled; ask an administrator")
            changed = {key: value for key, value in values.items() if getattr(row, key) != value}
            if changed:
                connection.execute(users.update().where(users.c.id == row.id).values(**changed))
                audit.note(connection, COMPANY, "account.changed", _noted(row.id, changed))
            return _user(connection.execute(sa.select(users).where(users.c.id == row.id)).one())

    def _taken_over(self, connection: sa.Connection, name: str, subject: str) -> Any:
        """The row for somebody who comes for the first time."""
        row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
        if row is None:
            new = _EMPTY | {"name": name, "shown": name, "subject": subject, "created": time.time()}
            row = connection.execute(users.insert().values(**new).returning(users)).one()
            audit.note(connection, COMPANY, "account.added", {"user": row.id})
        elif row.password or row.subject:
            raise DeskmateError(f"the name {name!r} belongs to another account here; ask an administrator")
        else:
            connection.execute(users.update().where(users.c.id == row.id).values(subject=subject))
            audit.note(connection, COMPANY, "account.taken", {"user": row.id})
        return row

    def check(self, name: str, password: str) -> User | None:
        """Whose name and password these are; None where they are nobody's, or of an account that is disabled.

        The same work is done for a name that there is not, so that the time taken does not tell.
        """
        with self._database.reading() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name.strip().lower())).one_or_none()
        nobody = _nobody()
        kept = row.password if row is not None and row.password else nobody
        if not _matches(kept, password) or row is None or not row.password or row.disabled:
            return None
        if _hasher().check_needs_rehash(kept):
            with self._database.writing() as connection:
                connection.execute(
                    users.update()
                    .where(users.c.id == row.id, users.c.password == kept)
                    .values(password=_hasher().hash(password))
                )
        return _user(row)


def person_of_row(row: Any) -> Person:
    """Who has signed in, from a row of `users`."""
    return Person(f"user-{row.id}", row.shown, frozenset(row.groups), Role(row.role))


def checked_name(name: str) -> str:
    """A name as it is kept.

    Raises:
        DeskmateError: it is none.
    """
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise DeskmateError(f"{name[:80]!r} is no name for an account; use letters, digits and . _ @ + -, at most 64")
    return name


def clean_groups(groups: Iterable[str]) -> list[str]:
    """Groups as they are kept.

    Raises:
        DeskmateError: one of them is none.
    """
    found = sorted({group.strip() for group in groups} - {"", "everyone"})  # everybody is in `everyone`
    for group in found:
        if not _GROUP.fullmatch(group):
            raise DeskmateError(f"{group[:80]!r} is no group; a group has at most 128 characters, on one line")
    return found


def check_password(password: str, name: str) -> None:
    """Refuse what would be guessed first.

    Raises:
        DeskmateError: what is wrong with it, without the password.
    """
    if len(password) < SHORTEST:
        raise DeskmateError(f"the password has fewer than {SHORTEST} characters; a few words make a good one")
    if len(password) > LONGEST:
        raise DeskmateError(f"the password has more than {LONGEST:,} characters")
    bare = re.sub(r"[\W\d_]+", "", password.lower())
    run = len(set(password.lower())) <= 4 or _steps(password)
    if COMMON.fullmatch(bare) or bare == re.sub(r"[\W\d_]+", "", name.partition("@")[0]) or run:
        raise DeskmateError("the password is one of those that are guessed first; a few words make a good one")


def _steps(password: str) -> bool:
    """Whether it counts up or down, as 1234567890 or abcdefghij do."""
    steps = [ord(b) - ord(a) for a, b in pairwise(password)]
    return sum(step in (1, -1) for step in steps) >= 0.8 * len(steps)


def _values(name: str, change: Change) -> dict[str, Any]:
    """The columns that a change sets."""
    values: dict[str, Any] = {}
    if change.shown is not None:
        shown = " ".join(change.shown.split())
        if not 0 < len(shown) <= 128 or not shown.isprintable():
            raise DeskmateError("the name shown has 1 to 128 characters")
        values["shown"] = shown
    if change.groups is not None:
        values["groups"] = clean_groups(change.groups)
    if change.role is not None:
        values["role"] = change.role.value
    if change.disabled is not None:
        values["disabled"] = change.disabled
    if change.password is not None:
        if change.password:
            check_password(change.password, name)
        values["password"] = _hasher().hash(change.password) if change.password else ""
    return values


def _noted(user: int, values: dict[str, Any]) -> dict[str, Any]:
    """What the audit says of a change: never a name or a hash."""
    said: dict[str, Any] = {key: values[key] for key in ("role", "disabled") if key in values}
    if "groups" in values:
        said["groups"] = len(values["groups"])
    if "password" in values:
        said["password"] = bool(values["password"])
    return {"user": user, **said}


def _row(connection: sa.Connection, name: str) -> Any:
    row = connection.execute(sa.select(users).where(users.c.name == name.strip().lower())).one_or_none()
    if row is None:
        raise DeskmateError(f"there is no account {name[:80]!r}; deskmate users list shows those there are")
    return row


def _user(row: Any) -> User:
    return User(
        row.id,
        row.name,
        row.shown,
        frozenset(row.groups),
        Role(row.role),
        row.disabled,
        bool(row.password),
        bool(row.subject),
        row.created,
    )


@cache
def _hasher() -> PasswordHasher:
    """Argon2id with the library's parameters, which are those of RFC 9106 for little memory."""
    return PasswordHasher()


@cache
def _nobody() -> str:
    """What a password for an unknown name is compared with."""
    return _hasher().hash("nobody's password")


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher().verify(kept, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
