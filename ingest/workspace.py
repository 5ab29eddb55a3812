"""The workspace on disk, and how anything is written there: whole or not at all.

Knows paths and durability; knows nothing of what the files mean.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import DeskmateError


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything that the system writes lives. The folders are made when they are first written to."""

    root: Path

    @property
    def index(self) -> Path:
        """Generations of the index and the `CURRENT` pointer."""
        return self.root / "index"

    @property
    def qa(self) -> Path:
        """Training data, and a teacher's replies."""
        return self.root / "qa"

    @property
    def adapters(self) -> Path:
        """Versions of adapters and the `SERVED` pointer."""
        return self.root / "adapters"

    @property
    def keys(self) -> Path:
        """Hashes of the API's keys, and when each was last used."""
        return self.root / "keys"

    @property
    def models(self) -> Path:
        """The embedded models."""
        return self.root / "models"

    @property
    def cache(self) -> Path:
        """What can be deleted at any time and is computed again."""
        return self.root / "cache"


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a rename is only safe once its folder has been synced."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_file(path: Path) -> None:
    """Make the bytes of a file that a library wrote durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a reader, or a crash, sees the old bytes or the new ones and never a mix.

    Raises:
        OSError: when the disk refuses; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `final` when the block ends, and disappears when it fails.

    Every file in it is synced before the rename. What a killed process left behind is found by its
    name (`.staged-*`) and removed by `remove_leftovers`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=final.parent))
    try:
        yield staged
        for folder, _, names in os.walk(staged):
            for name in names:
                fsync_file(Path(folder, name))
            fsync_folder(Path(folder))
        os.replace(staged, final)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    fsync_folder(final.parent)


@contextmanager
def staged_files(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of the same name in `folder` when the block ends.

    For files that belong together beside others that stay. All are on disk before the first one is replaced; when the
    block fails, every file is as it was. Call under the writer's lock of `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=folder))
    try:
        yield staged
        files = sorted(path for path in staged.rglob("*") if path.is_file())
        for path in files:
            fsync_file(path)
        for path in files:
            final = folder / path.relative_to(staged)
            final.parent.mkdir(exist_ok=True)
            os.replace(path, final)
            fsync_folder(final.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def remove_leftovers(folder: Path, pointer: str = "CURRENT") -> None:
    """Remove staged folders and copies of `pointer` that a killed writer left in `folder`, under the writer's lock."""
    for path in folder.glob(".staged-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".{pointer}.*"):
        path.unlink(missing_ok=True)


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for writing. The kernel drops the lock when the process dies, so none goes stale.

    Raises:
        DeskmateError: when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeskmateError(
                f"another deskmate is writing to {folder}; wait until it has finished, then run this again"
            ) from None
        yield


def explain_disk_error(error: OSError, doing: str) -> DeskmateError:
    """Turn an operating-system error met while `doing` something into one that tells the user what to do."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DeskmateError(
            f"the disk is full{where} while {doing}; free some space and run this again: nothing was lost"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DeskmateError(
            f"no permission to write{where} while {doing}; set DESKMATE_HOME to a folder you may write to"
        )
    return DeskmateError(f"{error.strerror or error}{where} while {doing}; nothing was lost")
