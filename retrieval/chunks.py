"""The chunk table: documents, their texts, their chunks and who may read them, in one SQLite file a generation.

Knows rows; knows nothing of vectors or ranking.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.records import Chunk
from ingest.scan import Known

SCHEMA = """
CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, so a row number means one thing in every generation
    path TEXT NOT NULL UNIQUE,
    root TEXT NOT NULL,
    doc TEXT NOT NULL,
    title TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    access TEXT NOT NULL,                  -- JSON list of group names
    reason TEXT,                           -- why it is quarantined; NULL when it was read
    text TEXT NOT NULL
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document(id),
    chunk_id TEXT NOT NULL UNIQUE,
    heading TEXT NOT NULL,
    page INTEGER,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX chunk_document ON chunk(document);
CREATE INDEX document_doc ON document(doc);
"""

CHUNK_COLUMNS = """
    SELECT chunk.id, chunk_id, doc, title, heading, page, start, end, chunk.text, access
    FROM chunk JOIN document ON document.id = chunk.document
"""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document to be put in: what was read of it, or why it could not be read."""

    path: Path
    root: Path
    doc: str
    title: str
    sha256: str
    access: frozenset[str]
    reason: str | None
    text: str


@dataclass(frozen=True, slots=True)
class DocumentText:
    """A document's whole normalised text, for showing a citation in its place."""

    doc: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """Which file a document is now, by the SHA-256 of its bytes, and the groups that may read it."""

    sha256: str
    access: frozenset[str]


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A line of the list of documents: how many chunks it has, or why it is quarantined.

    `pages` is None for a format without pages; `characters` are those of the normalised text.
    """

    doc: str
    title: str
    access: frozenset[str]
    chunks: int
    reason: str | None
    path: Path
    sha256: str
    pages: int | None
    characters: int


class ChunkTable:
    """One generation's documents and chunks."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    def create(cls, path: Path) -> "ChunkTable":
        """A new, empty table."""
        db = sqlite3.connect(path)
        db.executescript(SCHEMA)
        return cls(db)

    @classmethod
    def edit(cls, path: Path) -> "ChunkTable":
        """A table in a folder that nobody reads yet. Durability is the publisher's business, so SQLite's is off."""
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        return cls(db)

    @classmethod
    def read(cls, path: Path) -> "ChunkTable":
        """A published table; any thread may read it."""
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        return cls(db)

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._db.commit()
        self._db.close()

    def known(self) -> dict[Path, Known]:
        """What is indexed or quarantined, by absolute path."""
        rows = self._db.execute("SELECT path, root, doc, sha256, access, reason IS NULL FROM document")
        return {
            Path(path): Known(Path(path), Path(root), doc, sha256, frozenset(json.loads(access)), bool(readable))
            for path, root, doc, sha256, access, readable in rows
        }

    def reasons(self) -> dict[Path, str]:
        """Why each quarantined document is, by absolute path."""
        rows = self._db.execute("SELECT path, reason FROM document WHERE reason IS NOT NULL")
        return {Path(path): reason for path, reason in rows}

    def put(self, document: DocumentRow, chunks: Sequence[Chunk]) -> tuple[list[int], list[int]]:
        """Put a document in, in place of what stood under its path; return the rows removed and the rows added."""
        removed = self.remove(document.path)
        cursor = self._db.execute(
            "INSERT INTO document (path, root, doc, title, sha256, access, reason, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(document.path),
                str(document.root),
                document.doc,
                document.title,
                document.sha256,
                json.dumps(sorted(document.access)),
                document.reason,
                document.text,
            ),
        )
        added = []
        for chunk in chunks:
            values = (cursor.lastrowid, chunk.id, chunk.heading, chunk.page, chunk.start, chunk.end, chunk.text)
            row = self._db.execute(
                "INSERT INTO chunk (document, chunk_id, heading, page, start, end, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            added.append(int(row or 0))
        return removed, added

    def remove(self, path: Path) -> list[int]:
        """Remove a document and its chunks; return the removed rows."""
        found = self._db.execute("SELECT id FROM document WHERE path = ?", (str(path),)).fetchone()
        if found is None:
            return []
        rows = [row for (row,) in self._db.execute("SELECT id FROM chunk WHERE document = ?", found)]
        self._db.execute("DELETE FROM chunk WHERE document = ?", found)
        self._db.execute("DELETE FROM document WHERE id = ?", found)
        return rows

    def readable_rows(self, groups: frozenset[str]) -> list[int]:
        """The rows of every chunk that one of `groups` may read."""
        labels = self._db.execute("SELECT DISTINCT access FROM document")
        mine = [access for (access,) in labels if groups & set(json.loads(access))]
        marks = ",".join("?" * len(mine))
        query = f"SELECT chunk.id FROM document JOIN chunk ON document = document.id WHERE access IN ({marks})"
        return [row for (row,) in self._db.execute(query, mine)]

    def all_readable(self, groups: frozenset[str]) -> bool:
        """Whether `groups` may read every document there is, so that no filter is needed."""
        return all(
            groups & set(json.loads(access))
            for (access,) in self._db.execute("SELECT DISTINCT access FROM document WHERE reason IS NULL")
        )

    def chunks(self, rows: Iterable[int]) -> dict[int, Chunk]:
        """The chunks under some rows."""
        wanted = list(rows)
        marks = ",".join("?" * len(wanted))
        found = self._db.execute(f"{CHUNK_COLUMNS} WHERE chunk.id IN ({marks})", wanted)
        return {row: _chunk(*values) for row, *values in found}

    def all_chunks(self) -> Iterable[Chunk]:
        """Every chunk, document by document, in reading order."""
        for _, *values in self._db.execute(f"{CHUNK_COLUMNS} ORDER BY doc, start"):
            yield _chunk(*values)

    def document(self, doc: str, groups: frozenset[str]) -> DocumentText | None:
        """A document's text, or None when there is none of that name or no group of the asker may read it."""
        rows = self._db.execute(
            "SELECT doc, title, text, access FROM document WHERE doc = ? AND reason IS NULL", (doc,)
        )
        for name, title, text, access in rows:
            if groups & set(json.loads(access)):
                return DocumentText(name, title, text)
        return None

    def versions(self, docs: Iterable[str], groups: frozenset[str]) -> dict[str, DocumentVersion]:
        """Those of some documents that one of `groups` may read, as they are now."""
        wanted = list(docs)
        marks = ",".join("?" * len(wanted))
        rows = self._db.execute(
            f"SELECT doc, sha256, access FROM document WHERE reason IS NULL AND doc IN ({marks})", wanted
        )
        found = {doc: DocumentVersion(sha256, frozenset(json.loads(access))) for doc, sha256, access in rows}
        return {doc: version for doc, version in found.items() if groups & version.access}

    def passages(self, ids: Iterable[str], groups: frozenset[str]) -> dict[str, Chunk]:
        """The chunks of some ids that one of `groups` may read; an id whose chunk has changed has none."""
        wanted = list(ids)
        marks = ",".join("?" * len(wanted))
        rows = self._db.execute(f"{CHUNK_COLUMNS} WHERE chunk_id IN ({marks})", wanted)
        found = [_chunk(*values) for _, *values in rows]
        return {chunk.id: chunk for chunk in found if groups & chunk.access}

    def documents(self) -> list[DocumentState]:
        """Every document and quarantined file, by name."""
        rows = self._db.execute(
            "SELECT doc, title, access, COUNT(chunk.id), reason, path, sha256, MAX(page), LENGTH(document.text) "
            "FROM document LEFT JOIN chunk ON document = document.id GROUP BY document.id ORDER BY doc"
        )
        return [
            DocumentState(doc, title, frozenset(json.loads(access)), chunks, reason, Path(path), sha256, pages, length)
            for doc, title, access, chunks, reason, path, sha256, pages, length in rows
        ]

    def chunks_of(self, doc: str, groups: frozenset[str]) -> list[Chunk]:
        """A document's chunks in reading order; none where none of `groups` may read it."""
        rows = self._db.execute(f"{CHUNK_COLUMNS} WHERE doc = ? ORDER BY start", (doc,))
        return [chunk for _, *values in rows if groups & (chunk := _chunk(*values)).access]

    def counts(self) -> tuple[int, int, int]:
        """Documents read, chunks, and quarantined files."""
        documents, quarantined = self._db.execute(
            "SELECT COUNT(*) - COUNT(reason), COUNT(reason) FROM document"
        ).fetchone()
        (chunks,) = self._db.execute("SELECT COUNT(*) FROM chunk").fetchone()
        return documents, chunks, quarantined


def _chunk(
    chunk_id: str, doc: str, title: str, heading: str, page: int | None, start: int, end: int, text: str, access: str
) -> Chunk:
    return Chunk(chunk_id, doc, title, heading, page, start, end, text, frozenset(json.loads(access)))
