"""Which files there are, who may read them, and what is new, changed or gone against what is indexed.

Knows names, access labels and content hashes; opens no document to understand it.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import DeskmateError
from ingest.records import EVERYONE

ACCESS_FILE = ".access"
"""A file that names the groups who may read its folder and everything below."""

READ = frozenset(
    (".md", ".markdown", ".txt", ".text", ".log", ".rst", ".html", ".htm", ".xhtml")
    + (".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".tsv", ".eml")
)
"""Extensions that are read; so are files without one. What a file really is, its content decides."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may become a document. `doc` is its path relative to the ingested folder `root`, with slashes."""

    path: Path
    root: Path
    doc: str
    access: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not read, and why."""

    doc: str
    reason: str
    path: Path
    root: Path


@dataclass(slots=True)
class Scan:
    """What a walk over the given paths found. `skipped` counts files of other types by extension."""

    files: list[SourceFile] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    scopes: list[Path] = field(default_factory=list)

    def covers(self, path: Path) -> bool:
        """Whether `path` lies in what was walked, so that its absence means that it is gone."""
        return any(path == scope or scope in path.parents for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Known:
    """What the index holds of one document, enough to tell whether it changed."""

    path: Path
    root: Path
    doc: str
    sha256: str
    access: frozenset[str]
    readable: bool


def scan(paths: Iterable[Path], known: Iterable[Known], access: frozenset[str] | None = None) -> Scan:
    """Walk folders and files in a stable order.

    A path inside a folder that was ingested before keeps that folder as its root, so a document has one name.

    Args:
        paths: folders or files.
        known: the documents in the index.
        access: the groups that may read everything found, unless a `.access` file is nearer; None means everyone.

    Raises:
        DeskmateError: a path that does not exist and is not in the index either, or a bad `.access` file.
    """
    known = list(known)
    roots = {entry.root for entry in known}
    result = Scan()
    for path in sorted({Path(os.path.abspath(given)) for given in paths}):  # a folder before what lies in it
        result.scopes.append(path)
        if not _check_given(path, known):
            continue
        root = next((r for r in sorted(roots) if r == path or r in path.parents), None)
        if root is None:
            root = path if path.is_dir() else path.parent
        roots.add(root)
        labels = access if access is not None else frozenset({EVERYONE})
        if path.is_dir():
            _walk(path, root, _inherited(path, root, labels), result)
        else:
            _visit(path, root, _inherited(path.parent, root, labels), result)
    result.files = list({file.path: file for file in result.files}.values())  # paths may overlap
    _check_names(result, known)
    return result


def _check_given(path: Path, known: Iterable[Known]) -> bool:
    """Whether a given path is there. It is an error if not, unless it was ingested once: its documents are gone."""
    if not _is_unicode(str(path)):
        raise DeskmateError(f"the name of {_printable(str(path))} is not valid Unicode; rename it")
    if path.is_dir() or path.is_file():
        return True
    if path.exists():
        raise DeskmateError(f"{path} is neither a folder nor a plain file; ingest what can be read twice")
    if not any(entry.path == path or path in entry.path.parents for entry in known):
        raise DeskmateError(f"there is no file or folder {path}; check the path and run this again")
    return False


def _walk(folder: Path, root: Path, access: frozenset[str], result: Scan) -> None:
    """Visit a folder's files, then its folders, in the order of their names."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _refuse(folder, root, f"the folder cannot be read: {error.strerror}", result)
        return
    access = read_access(folder / ACCESS_FILE) or access
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith((".", "~$")):
            continue
        if entry.is_symlink():
            _refuse_symlink(path, root, result)
        elif entry.is_file():
            _visit(path, root, access, result)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            _walk(Path(entry.path), root, access, result)


def _visit(path: Path, root: Path, access: frozenset[str], result: Scan) -> None:
    """Take a file in, unless it is of a type that is not read."""
    suffix = path.suffix.lower()
    if suffix and suffix not in READ:
        result.skipped[suffix] += 1
        return
    if not _is_unicode(str(path)):
        _refuse(path, root, "its name is not valid Unicode; rename it", result)
        return
    result.files.append(SourceFile(path, root, _doc(path, root), access))


def _refuse_symlink(path: Path, root: Path, result: Scan) -> None:
    """Never follow a link: its target is walked where it is, and one that leads out of the folder is not ours."""
    target = Path(os.path.realpath(path))
    if root not in target.parents and target != root:
        _refuse(path, root, "a symbolic link that leads out of the folder", result)


def _refuse(path: Path, root: Path, reason: str, result: Scan) -> None:
    """Note what is not read. Its path is kept in a form that can be stored."""
    result.refused.append(Refused(_doc(path, root), reason, Path(_printable(str(path))), root))


def read_access(path: Path) -> frozenset[str]:
    """The groups named in a `.access` file, one a line or separated by commas; empty when there is no such file.

    `#` begins a comment.

    Raises:
        DeskmateError: when the file names nobody or cannot be read: guessing here would open what should be closed.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise DeskmateError(f"{path} cannot be read ({error}); it decides who may see this folder") from error
    groups = frozenset(name for line in lines for part in line.split("#")[0].split(",") if (name := part.strip()))
    if not groups:
        raise DeskmateError(f"{path} names no group; write one group a line, or remove the file")
    return groups


def _inherited(folder: Path, root: Path, access: frozenset[str]) -> frozenset[str]:
    """The labels of the nearest `.access` file from `folder` up to `root`, else `access`."""
    for place in (folder, *folder.parents):
        if place != root and root not in place.parents:
            break
        if labels := read_access(place / ACCESS_FILE):
            return labels
    return access


def _check_names(found: Scan, known: Iterable[Known]) -> None:
    """One name, one document: a citation must say which file it means."""
    seen = {entry.doc: entry.path for entry in known if not found.covers(entry.path)}
    for file in found.files:
        other = seen.setdefault(file.doc, file.path)
        if other != file.path:
            raise DeskmateError(
                f"{other} and {file.path} would both be called {file.doc!r}; ingest the folder above both instead"
            )


def _doc(path: Path, root: Path) -> str:
    return _printable(path.relative_to(root).as_posix())


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return name if _is_unicode(name) else os.fsencode(name).decode("utf-8", "backslashreplace")


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal; empty when it cannot be read (parsing will say why)."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an ingest has to do. `gone` are documents of the index that the walk no longer found."""

    new: tuple[SourceFile, ...]
    changed: tuple[SourceFile, ...]
    unchanged: int
    gone: tuple[Known, ...]

    @property
    def to_read(self) -> tuple[SourceFile, ...]:
        """The files to parse."""
        return self.new + self.changed


def _is_same(entry: Known, file: SourceFile) -> bool:
    return (entry.doc, entry.access) == (file.doc, file.access) and entry.sha256 == content_hash(file.path)


def compare(found: Scan, known: Mapping[Path, Known], again: Container[Path] = ()) -> Changes:
    """Tell new, changed, unchanged and gone documents apart, by content and not by date.

    Args:
        found: what there is.
        known: what is indexed.
        again: what counts as changed in any case.
    """
    new, changed, unchanged = [], [], 0
    for file in found.files:
        entry = known.get(file.path)
        if entry is None:
            new.append(file)
        elif file.path not in again and _is_same(entry, file):
            unchanged += 1
        else:
            changed.append(file)
    here = {file.path for file in found.files} | {refused.path for refused in found.refused}
    gone = tuple(entry for path, entry in sorted(known.items()) if path not in here and found.covers(path))
    return Changes(tuple(new), tuple(changed), unchanged, gone)
