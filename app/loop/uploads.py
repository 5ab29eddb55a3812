"""Documents that people upload: checked, put into a folder of the workspace by who may read them, and taken out again.

They lie in `uploads/uploaded/GROUPS/NAME` with a `.access` file in each folder, so that `deskmate ingest` of the folder
`uploads` takes them for what they are; what was ingested from elsewhere is not touched by that. Nothing appears half.
"""

import hashlib
import os
import re
import tempfile
import threading
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.settings import UploadSettings
from ingest.errors import DeskmateError
from ingest.load import SUPPORTED, sniff
from ingest.records import EVERYONE
from ingest.scan import ACCESS_FILE, READ, read_access
from ingest.settings import IngestSettings
from ingest.workspace import explain_disk_error, fsync_folder, write_atomic

TOP = "uploaded"
"""The folder in `uploads`; documents are called `uploaded/…`, which no other folder's are by chance."""

HEAD = 1 << 20
"""Bytes by which a file's type is told."""

LONGEST_NAME = 180
"""Bytes of a name; file systems take 255."""

_OFFICE = frozenset({".docx", ".pptx", ".xlsx"})
_FORBIDDEN = re.compile(r'[<>:"|?*\\/]')


class TakenError(DeskmateError):
    """There is a document of that name for these groups already; whoever uploads may say that it is replaced."""


class TooLargeError(DeskmateError):
    """A file is larger than is taken, or there is no room for it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file. `at` is when it was put there, in seconds since 1970."""

    path: Path
    name: str
    access: frozenset[str]
    size: int
    at: float


class Uploads:
    """The folder `uploads` of a workspace."""

    def __init__(self, folder: Path, limits: UploadSettings, ingest: IngestSettings) -> None:
        self.folder = Path(os.path.abspath(folder))  # as the index names its documents
        self._limits = limits
        self._ingest = ingest
        self._putting = threading.Lock()

    @property
    def largest(self) -> int:
        """Bytes of the largest file that is taken: one that cannot be read afterwards is not."""
        return int(min(self._limits.max_file_mb, self._ingest.max_file_mb) * 2**20)

    def all(self) -> list[Upload]:
        """Every uploaded file, by name."""
        found = []
        for folder in sorted((self.folder / TOP).glob("*")):
            access = read_access(folder / ACCESS_FILE)
            for path in folder.iterdir():
                if not path.name.startswith("."):
                    fact = path.stat()
                    found.append(Upload(path, path.name, access, fact.st_size, fact.st_mtime))
        return sorted(found, key=lambda one: (one.name.casefold(), one.path))

    def take(self, name: str, access: Iterable[str], source: BinaryIO, replace: bool = False) -> Upload:
        """Check a file and put it where it belongs.

        Args:
            name: as the browser sent it; only its last part counts, and nothing of it is trusted.
            access: the groups that may read it.
            source: where to read it from, once, piece by piece.
            replace: take the place of a file of the same name for the same groups.

        Raises:
            TakenError: there is such a file, and `replace` was not said.
            DeskmateError: a name or a type that is not read, too large, no room; nothing is left of it then.
        """
        name = safe_name(name)
        groups = readers(access)
        folder = self.folder / TOP / folder_name(groups)
        room = int(self._limits.max_total_mb * 2**20) - sum(one.size for one in self.all())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if read_access(folder / ACCESS_FILE) != groups:  # before any file is there to be read by others
                write_atomic(folder / ACCESS_FILE, ("\n".join(sorted(groups)) + "\n").encode())
            fd, part = tempfile.mkstemp(prefix=".part-", dir=folder)  # hidden: no ingest reads it
            try:
                with os.fdopen(fd, "w+b") as file:
                    size = self._copy(name, source, file, room)
                    self._check(name, file, size)
                    file.flush()
                    os.fsync(file.fileno())
                with self._putting:  # of two who upload the same name at once, one is asked
                    if not replace and (folder / name).exists():
                        raise TakenError(f"there is a document {name} for these readers already")
                    os.replace(part, folder / name)
            finally:
                Path(part).unlink(missing_ok=True)
            fsync_folder(folder)
        except OSError as error:
            raise explain_disk_error(error, f"keeping {name}") from error
        return Upload(folder / name, name, groups, size, (folder / name).stat().st_mtime)

    def holds(self, path: Path) -> bool:
        """Whether a document's file was uploaded, and so may be deleted here."""
        return path.parent.parent == self.folder / TOP and not path.name.startswith(".") and ".." not in path.parts

    def remove(self, path: Path) -> None:
        """Delete an uploaded file. Its document is gone from the index with the next ingest.

        Raises:
            DeskmateError: it was not uploaded here, or the disk refuses.
        """
        if not self.holds(path):
            raise DeskmateError(f"{path.name} was not uploaded; delete it where it lies, then ingest its folder again")
        try:
            path.unlink(missing_ok=True)
            fsync_folder(path.parent)
        except OSError as error:
            raise explain_disk_error(error, f"deleting {path.name}") from error

    def _copy(self, name: str, source: BinaryIO, target: BinaryIO, room: int) -> int:
        size = 0
        while piece := source.read(HEAD):
            size += len(piece)
            if size > self.largest:
                raise TooLargeError(f"{name} is larger than {self.largest / 2**20:.3g} MiB, the most that is taken")
            if size > room:
                raise TooLargeError(
                    f"{name} does not fit: uploads may take {self._limits.max_total_mb:g} MiB together "
                    "(uploads.max_total_mb); delete some first"
                )
            target.write(piece)
        return size

    def _check(self, name: str, file: BinaryIO, size: int) -> None:
        """Tell the type by the content, as ingestion will. A file of the zip kind is only looked into there.

        Raises:
            DeskmateError: it is of no type that is read.
        """
        file.seek(0)
        head = file.read(HEAD)
        if not head.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
            raise DeskmateError(f"{name} is empty")
        try:
            if not head.startswith(b"PK\x03\x04"):
                sniff(head, name, self._ingest)
            elif Path(name).suffix.lower() not in _OFFICE:
                raise DeskmateError("it is a zip archive; unpack it and upload the files in it")
            elif not zipfile.is_zipfile(file):
                raise DeskmateError("it is damaged; open and save it again")
        except DeskmateError as error:
            raise DeskmateError(f"{name} cannot be read: {error}") from error


def safe_name(name: str) -> str:
    """A file's name of which nothing can be expected: no folder, no hidden file, no sign that a file system minds.

    Raises:
        DeskmateError: nothing of it is left, or no file of that type is read.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = re.split(r"[\\/]", name)[-1]
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C")
    name = " ".join(_FORBIDDEN.sub("_", name).split()).lstrip(".~ ").rstrip(". ")
    stem, suffix = os.path.splitext(name)
    if not stem:
        raise DeskmateError("a file without a name is not taken; give it one")
    if suffix.lower() not in READ:
        raise DeskmateError(f"{name}: {suffix or 'a file without an extension'} is not read; what is read: {SUPPORTED}")
    while len(stem.encode()) + len(suffix) > LONGEST_NAME:
        stem = stem[:-1]
    return stem.rstrip(". ") + suffix


def readers(access: Iterable[str]) -> frozenset[str]:
    """The groups that may read a file, as its `.access` file will say.

    Raises:
        DeskmateError: none was chosen, or one whose name such a file cannot hold.
    """
    groups = frozenset(access)
    if not groups:
        raise DeskmateError("choose who may read it: everyone, or groups of yours")
    for name in groups:
        if re.search(r"[,#\r\n]", name) or name != name.strip():
            raise DeskmateError(f"the group {name!r} cannot be named in a {ACCESS_FILE} file; rename it")
    return frozenset({EVERYONE}) if EVERYONE in groups else groups


def folder_name(groups: frozenset[str]) -> str:
    """The folder for what these groups may read: other groups, another folder."""
    name = "+".join(sorted(groups))
    plain = all(re.fullmatch(r"\w[\w .@-]*", one) for one in groups) and len(name.encode()) <= LONGEST_NAME
    return name if plain else f"groups-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
