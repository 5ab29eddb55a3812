"""A PostgreSQL server of its own under a temporary folder, where the program is installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


def _user() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server without a password while it lasts; gives the address of a database, but for its name."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("no PostgreSQL on the PATH; apt-get install postgresql")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="deskmate-pg-"))  # short: a socket's path has at most 107 characters
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        ["initdb", "-D", str(data), "-U", "desk", "--auth=trust", "-E", "UTF8", "--no-sync"],
        user=user, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["postgres", "-D", str(data), "-k", str(folder), "-p", str(port), "-F", "-c", "listen_addresses=127.0.0.1"],
        user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "ready to accept connections" in line:
            break
    yield f"postgresql+psycopg://desk:hunter2@127.0.0.1:{port}/"
    process.send_signal(signal.SIGINT)  # ends at once, whoever is still connected
    process.wait(30)
    process.stderr.close()
    shutil.rmtree(folder)


def new_database(server: str) -> str:
    """The address of an empty database."""
    name = f"d{os.urandom(4).hex()}"
    engine = sa.create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}{name}"
