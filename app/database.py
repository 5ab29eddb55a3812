"""The database of a workspace: its tables, and the connection. What is done with a table is in the module it names.

SQLite in the workspace, or PostgreSQL where settings give its address. Times are seconds since 1970, UTC.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error

FILE = "app.db"
VERSION = 1
"""Of the tables. A database of another version is refused, never changed by guessing."""

WAIT_S = 10
"""Longest wait for another process that is writing."""

metadata = sa.MetaData()

log = logging.getLogger("deskmate.database")


def _owned_by(table: str) -> sa.Column[Any]:
    """The column that names the row of `table` which this one goes with: both are erased together."""
    return sa.Column(table, sa.ForeignKey(f"{table}s.id", ondelete="CASCADE"), nullable=False, index=True)


schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))

users = sa.Table(  # app.accounts.accounts
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),  # in lower case
    sa.Column("shown", sa.String(128), nullable=False),
    sa.Column("password", sa.String(256), nullable=False),  # argon2's own form; empty where only single sign-on lets in
    sa.Column("subject", sa.String(512), nullable=False, index=True),  # issuer and subject of single sign-on, or empty
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sqlite_autoincrement=True,  # nobody ever gets the number of somebody who was removed
)

sessions = sa.Table(  # app.accounts.sessions
    "sessions",
    metadata,
    sa.Column("token", sa.String(64), primary_key=True),  # SHA-256 of the cookie
    _owned_by("user"),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

conversations = sa.Table(  # app.chat.archive
    "conversations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),  # random: it stands in addresses
    sa.Column("owner", sa.String(64), nullable=False, index=True),  # Person.id
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
)

exchanges = sa.Table(  # app.chat.archive
    "exchanges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _owned_by("conversation"),
    sa.Column("asked", sa.Float, nullable=False, index=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("refused", sa.Boolean, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("adapter", sa.String(128), nullable=True),
    sa.Column("generation", sa.String(64), nullable=True),
    sa.Column("replaced", sa.Boolean, nullable=False),  # asked again or changed; kept only where it was judged
    sa.Column("record", sa.JSON, nullable=False),  # all of it, see app.chat.archive
)

judgements = sa.Table(  # app.chat.judgements
    "judgements",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _owned_by("exchange"),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("verdict", sa.String(8), nullable=False),  # up, down
    sa.Column("reason", sa.String(32), nullable=False),  # wrong, outdated, not-found, tone; empty with a thumb up
    sa.Column("correction", sa.Text, nullable=False),  # what the asker says it should have been
    sa.Column("settled", sa.Float, nullable=True),  # when the help desk was done with it
    sa.UniqueConstraint("exchange", "owner"),
)

handovers = sa.Table(  # app.staff.handovers
    "handovers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _owned_by("conversation"),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),  # waiting, taken, closed
    sa.Column("taken_by", sa.String(64), nullable=False),  # Person.id, or empty
    sa.Column("taken_name", sa.String(128), nullable=False),  # as shown to others, or empty
    sa.Column("packet", sa.JSON, nullable=False),  # masked transcript, passages and confidence
    sa.Column("closed", sa.Float, nullable=True),
)

deliveries = sa.Table(  # app.staff.handover_post
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _owned_by("handover"),
    sa.Column("channel", sa.String(16), nullable=False),  # mail, webhook
    sa.Column("state", sa.String(16), nullable=False),  # trying, delivered, failed
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due", sa.Float, nullable=False, index=True),  # when it is tried next
    sa.Column("problem", sa.String(200), nullable=False),  # of the last try
)

replies = sa.Table(  # app.staff.handovers
    "replies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _owned_by("handover"),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("author", sa.String(64), nullable=False),  # Person.id
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

corrections = sa.Table(  # app.loop.corrections
    "corrections",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, index=True),  # of the question, see app.loop.corrections
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("citations", sa.JSON, nullable=False),  # places in documents that it rests on
    sa.Column("docs", sa.JSON, nullable=False),  # SHA-256 of those documents, as they were
    sa.Column("access", sa.JSON, nullable=False),  # who may read each of them
    sa.Column("exchange", sa.ForeignKey("exchanges.id", ondelete="SET NULL"), nullable=True, index=True),
    sa.Column("state", sa.String(16), nullable=False),  # serving, reviewed (a training row too), withdrawn
    sa.Column("author", sa.String(64), nullable=False),  # Person.id
    sa.Column("author_name", sa.String(128), nullable=False),  # as shown to others
    sa.Column("reviewer", sa.String(64), nullable=False),  # Person.id, or empty
    sa.Column("at", sa.Float, nullable=False),
)

audit = sa.Table(  # app.accounts.audit
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("who", sa.String(64), nullable=False),
    sa.Column("what", sa.String(64), nullable=False),
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)


class Database:
    """One connection pool. Every statement goes through `reading` or `writing`."""

    def __init__(self, url: str) -> None:
        """Connect, and make the tables where there are none.

        Args:
            url: SQLAlchemy's address of a SQLite file or a PostgreSQL database.

        Raises:
            DeskmateError: it cannot be reached, is none of ours, or has tables of another version.
        """
        try:
            self._name = sa.make_url(url).render_as_string(hide_password=True)
        except (SQLAlchemyError, ValueError):
            raise DeskmateError("database.url is no address; see docs/settings.md") from None  # it may hold a password
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True)
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise DeskmateError(f"the database {self._name} cannot be used: {error}") from error
        self._file, self._identity = "", (0, 0)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare)
            sa.event.listen(self._engine, "begin", _begin)
        with self.writing() as connection:
            metadata.create_all(connection)
            version = connection.scalar(sa.select(schema.c.version))
            if version is None:
                connection.execute(schema.insert().values(version=VERSION))
            elif version != VERSION:
                raise DeskmateError(
                    f"the database {self._name} has tables of version {version}, this deskmate knows {VERSION}; "
                    "use the deskmate that made it, or restore a backup"
                )
        if self._engine.dialect.name == "sqlite":
            self._file = self._engine.url.database or ""
            self._identity = _identity(self._file)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that reads one state of the database.

        Raises:
            DeskmateError: the database cannot be reached.
        """
        self._check_place()
        with _explained(self._name), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection whose statements all count when the block ends without an error, or none of them.

        Raises:
            DeskmateError: the database cannot be reached, or refuses.
        """
        self._check_place()
        options = {"deskmate_writes": True}
        with (
            _explained(self._name),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    def ping(self) -> None:
        """See whether it answers.

        Raises:
            DeskmateError: it does not.
        """
        with self.reading() as connection:
            connection.execute(sa.select(schema.c.version))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _check_place(self) -> None:
        """See that the file still has its name: SQLite goes on in one that was taken away, and what is kept is lost."""
        if self._file and _identity(self._file) != self._identity:
            log.error("the database %s was taken away; put it back, or start anew with what is there", self._name)
            raise DeskmateError("our database was taken away; try again when it is back")


def alone(connection: sa.Connection, table: sa.Table) -> None:
    """Let nobody else write to a table until the transaction ends. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))


def open_database(url: str, workspace: Path) -> Database:
    """The database of a workspace; `url` is empty for the SQLite file in it.

    Raises:
        DeskmateError: see `Database`.
    """
    if not url:
        path = workspace / FILE
        try:
            workspace.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # before SQLite makes it readable for everybody
        except OSError as error:
            raise explain_disk_error(error, "opening the database") from error
        url = f"sqlite:///{path}"
    return Database(url)


def _identity(file: str) -> tuple[int, int]:
    """What tells a file from another one of its name; zeros where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    """What SQLite needs told on every connection. FULL: what is committed survives a power cut too."""
    connection.isolation_level = None  # the driver's own idea of when a transaction begins would come in the way
    connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows A to Z only
    for pragma in (f"busy_timeout={WAIT_S * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin(connection: sa.Connection) -> None:
    """A writer takes its lock at once: one that read before would be turned away without waiting."""
    writes = connection.get_execution_options().get("deskmate_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Tell the log what is wrong with which database, and whoever asks only that it is."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        # Its own message would quote the statement's values.
        log.error("the database %s cannot be used: %s", name, error.orig)
        reason = error.orig if isinstance(error.orig, sqlite3.Error) else type(error.orig).__name__  # which names hosts
        raise DeskmateError(f"our database cannot be used ({reason}); try again when it is back") from error
