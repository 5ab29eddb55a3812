"""One run of ingestion: walk, compare, parse, chunk, embed, publish. Resumable, and nothing is lost when it stops.

Knows the order of the steps; every step is another module's.
"""

import errno
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ingest.chunk import chunk
from ingest.errors import DeskmateError
from ingest.pool import parse_files
from ingest.records import EVERYONE, PARSERS, Chunk
from ingest.scan import Changes, Known, Refused, Scan, SourceFile, compare, scan
from ingest.settings import IngestSettings
from ingest.workspace import Workspace, explain_disk_error, writer_lock
from retrieval.chunks import DocumentRow
from retrieval.dense import DenseIndex
from retrieval.embed import CachedEmbedder, Embedder
from retrieval.lexical import LexicalRow
from retrieval.store import Draft, Manifest, Recipe, Store

WINDOW = 512
"""Chunks embedded together. They are sorted by length; and what is embedded is remembered window by window."""


class Progress(Protocol):
    """Told how a run gets on. Stages are `read` (files) and `embed` (chunks)."""

    def total(self, stage: str, count: int) -> None:
        """So many things are to be done in a stage, as far as is known now."""

    def done(self, stage: str, count: int) -> None:
        """So many more are done."""


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What a run did. `embedded` chunks were computed, `reused` came from the cache; `seconds` is wall time."""

    generation: str
    published: bool
    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    gone: tuple[str, ...]
    quarantined: tuple[tuple[str, str], ...]
    skipped: dict[str, int]
    documents: int
    chunks: int
    embedded: int
    reused: int
    seconds: float


@dataclass(slots=True)
class _Edits:
    """What a run has changed so far. `pending` chunks, the last of `rows`, are not embedded yet."""

    removed: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    pending: list[Chunk] = field(default_factory=list)
    lexical: list[LexicalRow] = field(default_factory=list)


class Ingest:
    """Ingestion into one workspace."""

    def __init__(self, workspace: Workspace, settings: IngestSettings, embedder: Embedder, progress: Progress) -> None:
        self._store = Store(workspace)
        self._workspace = workspace
        self._settings = settings
        self._embedder = embedder
        self._progress = progress
        limits = settings.model_dump_json(exclude={"chunk_tokens", "workers"})
        self._recipe = Recipe(embedder.id, embedder.dimension, settings.chunk_tokens, PARSERS, limits)

    def run(
        self, paths: Iterable[Path], *, access: frozenset[str] | None = None, allow_shrink: bool = False
    ) -> IngestSummary:
        """Bring the index up to date with what lies under `paths`.

        Args:
            paths: folders and files.
            access: the groups that may read them, where no `.access` file says otherwise.
            allow_shrink: remove even more than half of the documents that are indexed.

        Raises:
            DeskmateError: a missing path, another writer, a full disk, a damaged index, a run that would remove most
                documents, or one that would open documents because nobody said for whom they are. The generation
                that served before goes on serving.
        """
        started = time.perf_counter()
        try:
            with writer_lock(self._workspace.index):
                return self._run(paths, access, allow_shrink, started)
        except OSError as error:
            raise explain_disk_error(error, "ingesting") from error
        except sqlite3.OperationalError as error:  # how SQLite reports a disk that is full or refuses
            full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
            disk = OSError(errno.ENOSPC if full else errno.EIO, f"SQLite says: {error}")
            raise explain_disk_error(disk, "ingesting") from error

    def _run(
        self, paths: Iterable[Path], access: frozenset[str] | None, allow_shrink: bool, started: float
    ) -> IngestSummary:
        manifest = self._store.manifest()
        known, reasons = self._known()
        found = scan(paths, known.values(), access)
        same_recipe = manifest is None or manifest.recipe == self._recipe
        if not same_recipe:
            self._check_everything_is_here(found, known)
        changes = compare(found, known, self._again(manifest, known))
        if access is None:
            _check_nothing_opens(changes, known)
        gone = {entry.path for entry in changes.gone}
        refused = [entry for entry in found.refused if not same_recipe or reasons.get(entry.path) != entry.reason]
        self._check_shrink(known, {path: entry for path, entry in known.items() if path not in gone}, allow_shrink)
        if manifest is not None and same_recipe and not (changes.to_read or changes.gone or refused):
            counts = (manifest.documents, manifest.chunks)
            return self._summary(manifest.generation, False, changes, found, reasons, counts, (0, 0), started)
        with closing(CachedEmbedder(self._embedder, self._workspace.cache / "embeddings.db")) as embedder:
            with self._store.next_generation(self._recipe) as draft:
                edits = self._apply(changes, refused, embedder, draft)
                self._check_shrink(known, draft.table.known(), allow_shrink)
                reasons = draft.table.reasons()
                counts = draft.table.counts()[:2]
            work = (embedder.computed, len(edits.rows) - embedder.computed)
        generation = self._store.current_name() or ""
        return self._summary(generation, True, changes, found, reasons, counts, work, started)

    def _known(self) -> tuple[dict[Path, Known], dict[Path, str]]:
        if self._store.current_name() is None:
            return {}, {}
        table = self._store.open().table
        with closing(table):
            return table.known(), table.reasons()

    def _check_everything_is_here(self, found: Scan, known: dict[Path, Known]) -> None:
        """With another embedder or chunk size everything is built anew, so everything must be at hand."""
        missing = sorted({str(entry.root) for path, entry in known.items() if not found.covers(path)})
        if missing:
            raise DeskmateError(
                "the embedder, the chunk size or the parsers have changed, so every document must be read again; "
                f"ingest these folders together: {' '.join(missing)}"
            )

    def _again(self, manifest: Manifest | None, known: dict[Path, Known]) -> set[Path]:
        """The files to read even if they have not changed: all for a new recipe, quarantined ones for new limits."""
        if manifest is None or manifest.recipe != self._recipe:
            return set(known)
        other_limits = manifest.recipe.limits != self._recipe.limits
        return {path for path, entry in known.items() if other_limits and not entry.readable}

    def _check_shrink(self, known: dict[Path, Known], after: dict[Path, Known], allow: bool) -> None:
        """Stop when more than half of the documents would vanish or become unreadable."""
        readable = [path for path, entry in known.items() if entry.readable]
        lost = sum(path not in after or not after[path].readable for path in readable)
        if not allow and lost * 2 > len(readable):
            raise DeskmateError(
                f"{lost} of {len(readable)} documents would be removed; if that is right, run again with --allow-shrink"
            )

    def _apply(self, changes: Changes, refused: Sequence[Refused], embedder: CachedEmbedder, draft: Draft) -> _Edits:
        """Make the changes in all three indexes."""
        edits = _Edits()
        # What changed is removed before anything is added: a document may have got another one's name.
        for path in [entry.path for entry in changes.gone] + [file.path for file in changes.changed]:
            edits.removed += draft.table.remove(path)
        for entry in refused:
            row = DocumentRow(entry.path, entry.root, entry.doc, "", "", frozenset(), entry.reason, "")
            edits.removed += draft.table.put(row, ())[0]
        for document, chunks in self._read(changes.to_read):
            edits.rows += draft.table.put(document, chunks)[1]
            edits.pending += chunks
            if len(edits.pending) >= WINDOW:
                self._embed(edits, embedder, draft.dense)
        self._embed(edits, embedder, draft.dense)
        draft.dense.remove(np.array(edits.removed, dtype=np.int64))
        draft.lexical.update(edits.removed, edits.lexical)
        return edits

    def _embed(self, edits: _Edits, embedder: CachedEmbedder, dense: DenseIndex) -> None:
        """Embed the pending chunks and add their vectors."""
        if not edits.pending:
            return
        rows = edits.rows[-len(edits.pending) :]
        texts = [one.embedded_text for one in edits.pending]
        vectors = embedder.embed(texts, lambda count: self._progress.done("embed", count))
        dense.add(np.array(rows, dtype=np.int64), vectors)
        edits.lexical += [
            LexicalRow(row, text, one.access) for row, text, one in zip(rows, texts, edits.pending, strict=True)
        ]
        edits.pending = []

    def _read(self, files: Sequence[SourceFile]) -> Iterator[tuple[DocumentRow, list[Chunk]]]:
        """Parse and chunk files, in the order in which they get ready."""
        self._progress.total("read", len(files))
        by_path = {str(file.path): file for file in files}
        seen = 0
        for outcome in parse_files([(str(file.path), file.path) for file in files], self._settings):
            file = by_path[outcome.key]
            parsed = outcome.parsed
            chunks: list[Chunk] = []
            if parsed is not None:
                chunks = chunk(
                    parsed,
                    file.doc,
                    file.access,
                    self._embedder.offsets,
                    chunk_tokens=self._settings.chunk_tokens,
                    window=self._embedder.window,
                )
            title, text = (parsed.title, parsed.text) if parsed else ("", "")
            row = DocumentRow(file.path, file.root, file.doc, title, outcome.sha256, file.access, outcome.reason, text)
            seen += len(chunks)
            self._progress.done("read", 1)
            self._progress.total("embed", seen)
            yield row, chunks

    def _summary(
        self,
        generation: str,
        published: bool,
        changes: Changes,
        found: Scan,
        reasons: dict[Path, str],
        counts: tuple[int, int],
        work: tuple[int, int],
        started: float,
    ) -> IngestSummary:
        names = {file.path: file.doc for file in found.files} | {entry.path: entry.doc for entry in found.refused}
        return IngestSummary(
            generation=generation,
            published=published,
            new=tuple(file.doc for file in changes.new),
            changed=tuple(file.doc for file in changes.changed),
            unchanged=changes.unchanged,
            gone=tuple(entry.doc for entry in changes.gone),
            quarantined=tuple((names.get(path, path.name), reason) for path, reason in sorted(reasons.items())),
            skipped=dict(found.skipped),
            documents=counts[0],
            chunks=counts[1],
            embedded=work[0],
            reused=work[1],
            seconds=time.perf_counter() - started,
        )


def _check_nothing_opens(changes: Changes, known: Mapping[Path, Known]) -> None:
    """A forgotten `--access` must not open to everyone what was ingested for some.

    Raises:
        DeskmateError: naming the groups, and how to say that everyone is meant.
    """
    everyone = frozenset({EVERYONE})
    opened = [
        known[file.path]
        for file in changes.changed
        if file.access == everyone and known[file.path].readable and EVERYONE not in known[file.path].access
    ]
    if opened:
        groups = " ".join(f"--access {group}" for group in sorted(opened[0].access))
        raise DeskmateError(
            f"{len(opened)} documents, {opened[0].doc} the first, would be opened to everyone; "
            f"say for whom they are: {groups}, or --access everyone"
        )
