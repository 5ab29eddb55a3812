"""Backups of a workspace: one archive of all that cannot be made again.

Made while the chat runs: the database by SQLite's own online backup, everything else by hard links, because whatever
else is written here is replaced whole. `app.safekeeping.restore` brings it back. The hashes tell damage, not forgery:
whoever can write the archive can write them too.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, fsync_folder, writer_lock

DATABASE, MANIFEST, INDEX = "app.db", "backup.json", "index"
FORMAT = 1

LEFT_OUT = frozenset({"cache", "models", "jobs", "tuning"})
"""Made again, fetched again, or of no use elsewhere: an interrupted tuning can only go on where it began."""

_TEMPORARY = re.compile(r"\.lock|\.serving|\.(staged|part)-.*|\..+\.[a-z0-9_]{8}|app\.db(-.*)?")
"""Names of what is being written, and of locks; the database is copied in its own way."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself. `files` gives size and SHA-256 of each file; `database` where the tables are."""

    made: str
    database: str
    generation: str | None
    files: dict[str, tuple[int, str]]
    format: int = FORMAT


def backup(root: Path, archive: Path, postgres: bool) -> Manifest:
    """Write an archive of a workspace; a reader sees the old file or the new one.

    Args:
        root: the workspace.
        archive: is replaced.
        postgres: the tables are not in the workspace, and so not in the archive.

    Raises:
        DeskmateError: nothing is there, the archive would lie in the workspace, or the disk refuses.
    """
    if not root.is_dir():
        raise DeskmateError(f"there is no workspace at {root}; set DESKMATE_HOME")
    if archive.resolve().is_relative_to(root.resolve()):
        raise DeskmateError(f"{archive} lies in the workspace itself; write the backup to another folder")
    try:
        with _frozen(root, postgres) as (frozen, generation):
            return _write(frozen, archive, "postgresql" if postgres else "sqlite", generation)
    except OSError as error:
        raise explain_disk_error(error, f"writing {archive}") from error
    except sqlite3.Error as error:
        raise DeskmateError(f"{root / DATABASE} cannot be backed up: {error}; restore an earlier backup") from error


@contextlib.contextmanager
def _frozen(root: Path, postgres: bool) -> Iterator[tuple[Path, str | None]]:
    """A folder with everything as it is in this moment, and the generation that serves."""
    place = root / "cache" / "backup"
    with writer_lock(place):
        for old in place.glob("frozen-*"):  # of a backup that was killed
            shutil.rmtree(old)
        frozen = Path(tempfile.mkdtemp(prefix="frozen-", dir=place))
        try:
            if not postgres and (root / DATABASE).exists():
                _copy_database(root / DATABASE, frozen / DATABASE)
            yield frozen, _link_all(root, frozen)
        finally:
            shutil.rmtree(frozen, ignore_errors=True)


def _link_all(root: Path, frozen: Path) -> str | None:
    """Link everything that belongs into an archive; of the index the generation that serves."""
    for top in sorted(root.iterdir()):
        if top.name not in LEFT_OUT | {INDEX} and not _TEMPORARY.fullmatch(top.name):
            _link(top, frozen / top.name)
    for _ in range(3):
        with contextlib.suppress(FileNotFoundError):  # replaced meanwhile, and cleared away
            generation = (root / INDEX / "CURRENT").read_text().strip() if (root / INDEX).is_dir() else ""
            if generation:
                _link(root / INDEX / generation, frozen / INDEX / generation)
                (frozen / INDEX / "CURRENT").write_text(f"{generation}\n")
            return generation or None
    return None


def _link(path: Path, target: Path) -> None:
    """Link a file, or all files of a folder. Links are not followed: nothing here makes any."""
    if path.is_symlink():
        return
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for name in sorted(os.listdir(path)):
            if not _TEMPORARY.fullmatch(name):
                _link(path / name, target / name)
    elif path.is_file():
        os.link(path, target)


def _copy_database(path: Path, target: Path) -> None:
    """One state of the database, while others write. Nobody stays signed in: sessions that were ended must stay so."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # so that one file is all of it
        copy.execute("DELETE FROM sessions")
        copy.commit()
        check_database(copy)


def check_database(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` where a database is damaged."""
    [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {found}")


def _write(frozen: Path, archive: Path, database: str, generation: str | None) -> Manifest:
    archive.parent.mkdir(parents=True, exist_ok=True)
    for old in archive.parent.glob(f".{archive.name}.part-*"):
        old.unlink()
    fd, name = tempfile.mkstemp(prefix=f".{archive.name}.part-", dir=archive.parent)  # with mode 0600
    try:
        files: dict[str, tuple[int, str]] = {}
        with os.fdopen(fd, "wb") as raw:
            with (
                gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, filename="") as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for path in sorted(path for path in frozen.rglob("*") if path.is_file()):
                    inside = path.relative_to(frozen).as_posix()
                    files[inside] = _add(tar, inside, path)
                made = datetime.now(UTC).isoformat(timespec="seconds")
                manifest = Manifest(made, database, generation, files)
                said = json.dumps(asdict(manifest)).encode()
                tar.addfile(_member(MANIFEST, len(said)), io.BytesIO(said))
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(name, archive)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_folder(archive.parent)
    return manifest


def _add(tar: tarfile.TarFile, inside: str, path: Path) -> tuple[int, str]:
    """Put a file into the archive, as long as it is now: a log may grow while it is read."""
    with open(path, "rb") as file:
        hashing = _Hashing(file)
        size = os.fstat(file.fileno()).st_size
        tar.addfile(_member(inside, size), hashing)
    return size, hashing.digest.hexdigest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


class _Hashing(io.RawIOBase):
    """A file that notes the SHA-256 of what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data
