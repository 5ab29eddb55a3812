"""Who is signed in: sessions in the database, each known by the hash of a cookie. Knows no passwords and no HTTP.

A cookie is 32 random bytes. What an account may do is looked up with every request, so a change of it counts at once.
"""

import contextlib
import hashlib
import secrets
import time

import sqlalchemy as sa

from app.accounts.accounts import person_of_row
from app.database import Database, sessions, users
from app.people import Person
from app.settings import SignInSettings
from ingest.errors import DeskmateError

TOUCH_S = 300.0
"""Shortest time between two notes that a session was used."""


class Sessions:
    """The table `sessions`."""

    def __init__(self, database: Database, settings: SignInSettings) -> None:
        self._database = database
        self._idle_s = settings.idle_hours * 3600
        self._longest_s = settings.longest_hours * 3600

    def begin(self, connection: sa.Connection, user: int) -> str:
        """Sign an account in, and clear away what is over.

        Args:
            connection: of `Database.writing`.
            user: the account's number.

        Returns:
            The cookie's value, which is kept nowhere. Always a new one: what a browser brought is never taken over.
        """
        token = secrets.token_urlsafe(32)
        now = time.time()
        connection.execute(sessions.delete().where(sessions.c.expires <= now))
        expires = now + min(self._idle_s, self._longest_s)
        connection.execute(
            sessions.insert().values(token=_hash(token), user=user, created=now, seen=now, expires=expires)
        )
        return token

    def find(self, token: str) -> Person | None:
        """Whose session it is; None for one that there is not, that is over, or whose account is disabled.

        Raises:
            DeskmateError: the database cannot be read.
        """
        now = time.time()
        key = _hash(token)
        wanted = (
            sa.select(users, sessions.c.created.label("began"), sessions.c.seen)
            .join(sessions, sessions.c.user == users.c.id)
            .where(sessions.c.token == key, sessions.c.expires > now, sa.not_(users.c.disabled))
        )
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            return None
        if now - row.seen > min(TOUCH_S, self._idle_s / 10):
            expires = min(now + self._idle_s, row.began + self._longest_s)
            with contextlib.suppress(DeskmateError), self._database.writing() as connection:  # turns nobody away
                connection.execute(sessions.update().where(sessions.c.token == key).values(seen=now, expires=expires))
        return person_of_row(row)

    def end(self, connection: sa.Connection, token: str) -> None:
        """Sign out; nothing where that session is over anyway."""
        connection.execute(sessions.delete().where(sessions.c.token == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
