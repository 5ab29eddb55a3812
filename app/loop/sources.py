"""Where documents came from, so that they can be read again as they were; and what lies there that the index lacks.

Knows paths, groups and dates; opens a file only where its date says that it may have changed.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from ingest.errors import DeskmateError
from ingest.scan import Known, SourceFile, content_hash, scan
from ingest.workspace import explain_disk_error, write_atomic

LONGEST_INGEST_S = 4 * 3600
"""A file may have changed while the index was made, after it was read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A path that was ingested. `access`: the groups it was ingested for, None where nobody was named."""

    path: Path
    access: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Pending:
    """Documents by name that the next ingest would take in, read again or remove."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.new) + len(self.changed) + len(self.gone)

    def __str__(self) -> str:
        parts = ((self.new, "new"), (self.changed, "changed"), (self.gone, "gone"))
        return ", ".join(f"{len(docs)} {what}" for docs, what in parts if docs) or "nothing"


class Sources:
    """The file `sources.json` of a workspace: what was ingested, in the order in which it first was."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def all(self) -> list[Source]:
        """Every path that was ingested and not forgotten.

        Raises:
            DeskmateError: the file cannot be read.
        """
        try:
            rows = json.loads(self.file.read_bytes())
            labels = (row["access"] for row in rows)
            return [
                Source(Path(row["path"]), None if access is None else frozenset(access))
                for row, access in zip(rows, labels, strict=True)
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeskmateError(f"{self.file} cannot be read; remove it, then ingest your folders again") from error

    def remember(self, paths: Iterable[Path], access: frozenset[str] | None) -> None:
        """Note what was ingested, for whom. What lies below a path that is noted for the same groups says nothing new.

        Raises:
            DeskmateError: the disk refuses.
        """
        known = {source.path: source for source in self.all()}
        for given in paths:
            path = Path(os.path.abspath(given))
            above = next((known[one] for one in path.parents if one in known), None)
            if path in known or above is None or above.access != access:
                known[path] = Source(path, access)
        rows = [
            {"path": str(one.path), "access": None if one.access is None else sorted(one.access)}
            for one in known.values()
        ]
        try:
            write_atomic(self.file, (json.dumps(rows, indent=1) + "\n").encode())
        except OSError as error:
            raise explain_disk_error(error, "noting what was ingested") from error

    def commands(self, more: Iterable[Path] = ()) -> list[tuple[str, ...]]:
        """The commands that read everything again as it was ingested, those for the same groups together.

        Args:
            more: paths that are read too, whether they were ingested before or not.
        """
        sources = self.all()
        sources += [Source(path, None) for path in more if path not in {one.path for one in sources}]
        together: dict[frozenset[str] | None, list[str]] = {}
        for source in sources:
            together.setdefault(source.access, []).append(str(source.path))
        return [
            ("ingest", *(part for group in sorted(access or ()) for part in ("--access", group)), "--", *paths)
            for access, paths in together.items()
        ]


def pending(sources: Iterable[Source], known: Mapping[Path, Known], created: str) -> Pending:
    """What an ingest of all sources would do, found out without reading what has not been touched since.

    Args:
        sources: what was ingested.
        known: what the index holds.
        created: when the index was made, as its manifest has it.

    Raises:
        DeskmateError: a `.access` file that cannot be read.
    """
    since = datetime.fromisoformat(created).timestamp()
    new, changed, gone = set(), set(), set()
    for source in sources:
        if not source.path.exists():
            below = (entry for path, entry in known.items() if source.path == path or source.path in path.parents)
            gone |= {entry.doc for entry in below}
            continue
        found = scan([source.path], known.values(), source.access)
        here = {file.path for file in found.files} | {refused.path for refused in found.refused}
        gone |= {entry.doc for path, entry in known.items() if found.covers(path) and path not in here}
        for file in found.files:
            entry = known.get(file.path)
            if entry is None:
                new.add(file.doc)
            elif _differs(file, entry, since):
                changed.add(file.doc)
    return Pending(tuple(sorted(new)), tuple(sorted(changed)), tuple(sorted(gone)))


def _differs(file: SourceFile, entry: Known, since: float) -> bool:
    """Whether a file is another one than was indexed. Its readers count too."""
    if file.access != entry.access:
        return True
    try:
        fact = file.path.stat()
    except OSError:
        return True
    touched = max(fact.st_mtime, fact.st_ctime)  # a copy keeps the date of its contents, never that of its entry
    if touched < since - LONGEST_INGEST_S:
        return False
    return _hash(file.path, fact.st_mtime_ns, fact.st_ctime_ns, fact.st_size) != entry.sha256


@lru_cache(maxsize=100_000)
def _hash(path: Path, *version: int) -> str:
    """A file's content hash, computed once for each version of it."""
    return content_hash(path)
