"""Generations of the index on disk: opened after their hashes are checked, published whole or not at all.

One generation holds vectors, lexical index, texts and access labels. A reader sees the old one or the new one.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.errors import DeskmateError
from ingest.workspace import Workspace, remove_leftovers, staged_folder, write_atomic
from retrieval.chunks import ChunkTable
from retrieval.dense import DenseIndex
from retrieval.lexical import LexicalIndex

CHUNKS, DENSE, LEXICAL, MANIFEST = "chunks.db", "dense.faiss", "lexical", "manifest.json"
FORMAT = 1
KEEP = 2
"""Generations kept on disk: the one that serves and the one before, which slow readers may still be opening."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the chunks and vectors of a generation depend on besides the documents; another recipe means: all anew."""

    embedder: str
    dimension: int
    chunk_tokens: int
    parsers: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation says of itself. `files` gives the SHA-256 of every file, by path relative to the folder."""

    generation: str
    created: str
    recipe: Recipe
    documents: int
    chunks: int
    quarantined: int
    files: dict[str, str]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Generation:
    """An opened generation."""

    manifest: Manifest
    folder: Path
    table: ChunkTable
    dense: DenseIndex
    lexical: LexicalIndex


@dataclass(frozen=True, slots=True)
class Draft:
    """A generation that is being made: a copy of the current one, or empty, for one writer to change."""

    table: ChunkTable
    dense: DenseIndex
    lexical: LexicalIndex


class Store:
    """The index folder of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.index

    def current_name(self) -> str | None:
        """The generation that serves, or None before the first ingest."""
        try:
            return (self.folder / "CURRENT").read_text("utf-8").strip()
        except FileNotFoundError:
            return None

    def manifest(self) -> Manifest | None:
        """The manifest of the generation that serves, or None before the first ingest.

        Raises:
            DeskmateError: when it is missing or damaged.
        """
        name = self.current_name()
        return None if name is None else self._read_manifest(name)

    def open(self) -> Generation:
        """Open the generation that serves. Every file's hash is checked before any library parses it.

        Raises:
            DeskmateError: there is no index yet, or it is damaged.
        """
        name = self.current_name()
        if name is None:
            raise DeskmateError("there is no index yet; run: deskmate ingest FOLDER")
        try:
            return self._open(name)
        except DeskmateError:
            newer = self.current_name()
            if newer in (None, name):
                raise
            return self._open(str(newer))  # replaced, and cleared away, while we were opening it

    def _open(self, name: str) -> Generation:
        folder = self.folder / name
        manifest = self._read_manifest(name)
        _verify(folder, manifest)
        try:
            table = ChunkTable.read(folder / CHUNKS)
            dense = DenseIndex.read(folder / DENSE, manifest.recipe.dimension, manifest.chunks)
            lexical = LexicalIndex.open(folder / LEXICAL)
        except (DeskmateError, sqlite3.DatabaseError) as error:
            raise _damaged(folder, str(error)) from error
        if len(lexical) != manifest.chunks:
            raise _damaged(folder, f"the lexical index holds {len(lexical)} chunks, not {manifest.chunks}")
        return Generation(manifest, folder, table, dense, lexical)

    def _read_manifest(self, name: str) -> Manifest:
        folder = self.folder / name
        try:
            data = json.loads((folder / MANIFEST).read_text("utf-8"))
            if data["format"] != FORMAT:
                raise _damaged(folder, f"it has format {data['format']}, this deskmate reads format {FORMAT}")
            return Manifest(**{**data, "recipe": Recipe(**data["recipe"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, f"its manifest cannot be read: {error}") from error

    @contextmanager
    def next_generation(self, recipe: Recipe) -> Iterator[Draft]:
        """Yield a copy of the current generation to change (or an empty one), and publish it when the block ends.

        Call under the writer's lock. When the block fails, what served before goes on serving.
        """
        remove_leftovers(self.folder)
        name = _after(self.current_name(), self.folder)
        with staged_folder(self.folder / name) as folder:
            draft = self._copy_current(folder, recipe)
            try:
                yield draft
                documents, chunks, quarantined = draft.table.counts()
            finally:
                draft.table.close()
            draft.dense.write(folder / DENSE)
            manifest = Manifest(
                generation=name,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                recipe=recipe,
                documents=documents,
                chunks=chunks,
                quarantined=quarantined,
                files=_hashes(folder),
            )
            (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
        write_atomic(self.folder / "CURRENT", f"{name}\n".encode())
        self._remove_old()

    def _copy_current(self, folder: Path, recipe: Recipe) -> Draft:
        manifest = self.manifest()
        if manifest is None or manifest.recipe != recipe:
            ChunkTable.create(folder / CHUNKS).close()
            lexical = LexicalIndex.create(folder / LEXICAL)
            return Draft(ChunkTable.edit(folder / CHUNKS), DenseIndex.empty(recipe.dimension), lexical)
        current = self.folder / manifest.generation
        _verify(current, manifest)
        shutil.copyfile(current / CHUNKS, folder / CHUNKS)
        # Tantivy never changes a segment file, but it removes them: links would do, a copy survives every file system.
        shutil.copytree(current / LEXICAL, folder / LEXICAL, ignore=shutil.ignore_patterns("*.lock"))
        dense = DenseIndex.read(current / DENSE, recipe.dimension, manifest.chunks)
        return Draft(ChunkTable.edit(folder / CHUNKS), dense, LexicalIndex.open(folder / LEXICAL))

    def _remove_old(self) -> None:
        generations = sorted(self.folder.glob("gen-*"))
        for folder in generations[:-KEEP]:
            shutil.rmtree(folder, ignore_errors=True)


def _after(current: str | None, folder: Path) -> str:
    """The next name. A generation that was built but never became current is overtaken, and removed."""
    number = int(current.removeprefix("gen-")) + 1 if current else 1
    name = f"gen-{number:06d}"
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    return name


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != MANIFEST
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    files = _files(folder)
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        return {
            path.relative_to(folder).as_posix(): digest
            for path, digest in zip(files, pool.map(_sha256, files), strict=True)
        }


def _verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest before any library reads it.

    Raises:
        DeskmateError: a file is missing, foreign or has other bytes.
    """
    try:
        found = _hashes(folder)
    except OSError as error:
        raise _damaged(folder, str(error)) from error
    wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
    if wrong:
        raise _damaged(folder, f"{wrong[0]} is missing, foreign or changed since it was written")


def _damaged(folder: Path, why: str) -> DeskmateError:
    return DeskmateError(
        f"the index {folder} cannot be used: {why}; remove the folder {folder.parent} and ingest your documents again"
    )
