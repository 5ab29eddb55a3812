"""Restoring a backup: the whole of it, checked before anything counts, or nothing.

An archive is unpacked beside the workspace by rules of our own, as if a stranger had sent it: plain files only, below
one folder, no more than there is room for. Then both change places in one step.
"""

import contextlib
import ctypes
import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from app.safekeeping.backup import DATABASE, FORMAT, LEFT_OUT, MANIFEST, Manifest, check_database
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, fsync_file, fsync_folder

SERVING = ".serving"
MOST_FILES = 1_000_000
LONGEST_READ = 1 << 26
"""Bytes that are read into memory at once: tar reads what is said of a file's name whole, however long."""


@contextlib.contextmanager
def serving(root: Path) -> Iterator[None]:
    """While a chat serves a workspace, no backup is restored over it."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / SERVING, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def restore(archive: Path, root: Path, force: bool) -> tuple[Manifest, Path | None]:
    """Put an archive where a workspace is to be: all of it, or nothing.

    Args:
        archive: from `backup`.
        root: the workspace; what is there is only replaced by `force`.
        force: put what is there aside, into a folder beside it.

    Returns:
        What the archive says of itself, and where the old workspace is, if there was one.

    Raises:
        DeskmateError: the archive is damaged or none of ours, there is a workspace, a chat serves it, or the disk
            refuses. Everything is as it was then.
    """
    root = root.absolute()
    there = root.is_dir() and any(path.name not in LEFT_OUT for path in root.iterdir())
    if there and not force:
        raise DeskmateError(f"{root} is not empty; restore --into another folder, or put it aside by --force")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        if root.is_mount():
            raise DeskmateError(
                f"{root} is a mount point, which cannot be replaced; set DESKMATE_HOME to a folder in it"
            )
        with _alone(root.parent), _idle(root):
            for old in root.parent.glob(f".{root.name}.restored-*"):  # of a restore that was killed
                shutil.rmtree(old)
            staged = Path(tempfile.mkdtemp(prefix=f".{root.name}.restored-", dir=root.parent))
            try:
                manifest = _unpack(archive, staged)
                return manifest, _publish(staged, root, there)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise explain_disk_error(error, f"restoring {archive}") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One restore at a time. The folder itself is the lock: nothing is left of it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DeskmateError(f"something is being restored in {folder} already; wait until it has finished") from None
    finally:
        os.close(fd)


@contextlib.contextmanager
def _idle(root: Path) -> Iterator[None]:
    """Make sure that no chat serves the workspace, and none begins to."""
    if not (root / SERVING).exists():
        yield
        return
    with open(root / SERVING, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeskmateError(f"a chat serves {root}; stop it, then restore") from None
        yield


class _Careful(io.RawIOBase):
    """The unpacked archive; no header makes it fill the memory."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise tarfile.ReadError("a header claims more than any has")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _unpack(archive: Path, staged: Path) -> Manifest:
    """Unpack an archive into an empty folder, and hold every file against what the archive says of it."""
    found: dict[str, tuple[int, str]] = {}
    room = shutil.disk_usage(staged).free
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=_Careful(packed), mode="r:") as tar:
            for member in tar:
                room -= member.size
                _check_member(member, found, room)
                source = tar.extractfile(member)
                assert source is not None  # it is a plain file
                found[member.name] = (member.size, _put(source, staged / member.name))
            while packed.read(1 << 20):  # to the checksum at the very end
                pass
    except FileNotFoundError:
        raise DeskmateError(f"there is no {archive}; name a file that deskmate backup wrote") from None
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeError) as error:
        raise _damaged(archive, f"it is cut short or no archive ({type(error).__name__})") from error
    manifest = _read_manifest(archive, staged / MANIFEST)
    del found[MANIFEST]
    for name in sorted(manifest.files.keys() | found.keys()):
        if found.get(name) != manifest.files.get(name):
            raise _damaged(archive, f"{name} is not as it was when the backup was made")
    if (staged / DATABASE).exists():
        try:
            with contextlib.closing(sqlite3.connect(staged / DATABASE)) as connection:
                check_database(connection)
        except sqlite3.Error as error:
            raise _damaged(archive, f"{DATABASE}: {error}") from error
    (staged / MANIFEST).unlink()
    for folder, _, names in os.walk(staged):
        for name in names:
            fsync_file(Path(folder, name))
        os.chmod(folder, 0o700)
        fsync_folder(Path(folder))
    return manifest


def _check_member(member: tarfile.TarInfo, found: dict[str, tuple[int, str]], room: int) -> None:
    """Refuse what no backup holds: links, devices, paths out of the folder, a name twice, more than there is room for.

    Raises:
        DeskmateError: so.
    """
    path = PurePosixPath(member.name)
    plain = member.type == tarfile.REGTYPE and not member.issparse()
    inside = path.parts and not path.is_absolute() and ".." not in path.parts and path.as_posix() == member.name
    if not plain or not inside or path.parts[0] in LEFT_OUT or "\0" in member.name or len(member.name) > 4000:
        raise DeskmateError(f"the archive holds {member.name[:80]!r}, which no backup does; do not use it")
    if member.name in found or len(found) >= MOST_FILES:
        raise DeskmateError(f"the archive holds {member.name[:80]!r} twice, or too many files; do not use it")
    if room < 0:
        raise DeskmateError("the disk has no room for what is in the archive; free some space: nothing was changed")


def _put(source: IO[bytes], path: Path) -> str:
    """Write a file that only its owner may read; give its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        while piece := source.read(1 << 20):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _read_manifest(archive: Path, path: Path) -> Manifest:
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        files = {str(name): (int(size), str(sha256)) for name, (size, sha256) in said.pop("files").items()}
        manifest = Manifest(files=files, **said)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(archive, "it does not say what it holds") from error
    if manifest.format != FORMAT:
        raise DeskmateError(f"{archive} has format {manifest.format}, this deskmate knows {FORMAT}; use a newer one")
    return manifest


def _publish(staged: Path, root: Path, there: bool) -> Path | None:
    """Make the staged folder the workspace, in one step. What no backup holds is taken over from the old one."""
    aside = None
    if not root.exists():
        os.rename(staged, root)
    else:
        if there:  # under its last name before the step: no clearing up ever takes the old one for a leftover
            aside = root.with_name(f"{root.name}.before-{datetime.now(UTC):%Y%m%d-%H%M%S}")
            staged = staged.rename(aside)
        _exchange(staged, root)
        for name in LEFT_OUT:
            with contextlib.suppress(FileNotFoundError):
                os.rename(staged / name, root / name)
    fsync_folder(root.parent)
    return aside


def _exchange(one: Path, other: Path) -> None:
    """Let two folders swap their names at once: Linux' renameat2(2) with RENAME_EXCHANGE."""
    library = ctypes.CDLL(None, use_errno=True)
    done = library.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)  # AT_FDCWD
    if done:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def _damaged(archive: Path, what: str) -> DeskmateError:
    return DeskmateError(f"{archive} cannot be restored: {what}; use another backup. Nothing was changed")
