"""Generations of the index on disk: opened after their hashes are checked, published whole or not at all.

One generation holds vectors, lexical index, texts and access labels. A reader sees the old one or the new one.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ingest.errors import DeskmateError
from ingest.workspace import Workspace, remove_leftovers, staged_folder, write_atomic
from retrieval.chunks import ChunkTable
from retrieval.dense import Bytes, DenseIndex
from retrieval.lexical import LexicalIndex

CHUNKS, DENSE, LEXICAL, MANIFEST = "chunks.db", "dense.faiss", "lexical", "manifest.json"
FORMAT = 1
READ_BYTES = 1 << 20
KEEP = 2
"""Generations kept on disk: the one that serves and the one before, which slow readers may still be opening."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the chunks and vectors of a generation depend on besides the documents; another recipe means: all anew.

    `limits` only decide which files are quarantined, so with other limits those alone are tried again.
    """

    embedder: str
    dimension: int
    chunk_tokens: int
    parsers: int
    limits: str = field(default="", compare=False)


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
        """The generation that serves, or None before the first ingest.

        Raises:
            DeskmateError: when that cannot be told.
        """
        pointer = self.folder / "CURRENT"
        try:
            name = pointer.read_bytes().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DeskmateError(f"{pointer} cannot be read: {error.strerror}; is {self.folder} yours?") from error
        if not re.fullmatch(rb"gen-\d{6,}", name):
            raise _damaged(self.folder / "CURRENT", "it names no generation")
        return name.decode()

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
        vectors = _verify(folder, manifest)
        try:
            table = ChunkTable.read(folder / CHUNKS)
            dense = DenseIndex.view(vectors, folder / DENSE, manifest.recipe.dimension, manifest.chunks)
            lexical = LexicalIndex.open(folder / LEXICAL)
            counts = {"chunk table": table.counts()[1], "lexical index": len(lexical)}
        except (DeskmateError, sqlite3.DatabaseError) as error:
            raise _damaged(folder, str(error)) from error
        for part, count in counts.items():
            if count != manifest.chunks:
                raise _damaged(folder, f"the {part} holds {count} chunks, not {manifest.chunks}")
        return Generation(manifest, folder, table, dense, lexical)

    def _read_manifest(self, name: str) -> Manifest:
        folder = self.folder / name
        try:
            data = json.loads((folder / MANIFEST).read_text("utf-8"))
            if data["format"] != FORMAT:
                raise _damaged(folder, f"it has format {data['format']}, this deskmate reads format {FORMAT}")
            if data.pop("checksum") != _checksum(data) or data["generation"] != name:
                raise ValueError("it was changed since it was written")
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
            data = asdict(manifest)
            (folder / MANIFEST).write_text(json.dumps({**data, "checksum": _checksum(data)}, indent=1), "utf-8")
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
        (folder / LEXICAL).mkdir()
        for path in _files(current / LEXICAL):
            shutil.copyfile(path, folder / LEXICAL / path.name)
        dense = DenseIndex.read(current / DENSE, recipe.dimension, manifest.chunks)
        return Draft(ChunkTable.edit(folder / CHUNKS), dense, LexicalIndex.open(folder / LEXICAL))

    def _remove_old(self) -> None:
        generations = sorted(self.folder.glob("gen-*"), key=lambda path: (len(path.name), path.name))
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


def _checksum(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_hashed(path: Path) -> tuple[Bytes, str]:
    """A file's bytes, and the SHA-256 of just these: what is checked is what is used, and it is read once."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        data = np.empty(os.fstat(file.fileno()).st_size, dtype=np.uint8)
        view, done = data.data, 0
        while count := file.readinto(view[done : done + READ_BYTES]):
            digest.update(view[done : done + count])
            done += count
    return data[:done], digest.hexdigest()


def _hashes(folder: Path, leave_out: str = "") -> dict[str, str]:
    files = [path for path in _files(folder) if path.name != leave_out]
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        return {
            path.relative_to(folder).as_posix(): digest
            for path, digest in zip(files, pool.map(_sha256, files), strict=True)
        }


def _verify(folder: Path, manifest: Manifest) -> Bytes:
    """Compare every file with the manifest before any library reads it.

    Returns:
        The bytes of the dense index that were compared.

    Raises:
        DeskmateError: a file is missing, foreign or has other bytes.
    """
    try:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(_read_hashed, folder / DENSE)
            found = _hashes(folder, leave_out=DENSE)
            vectors, found[DENSE] = reading.result()
    except OSError as error:
        raise _damaged(folder, str(error)) from error
    wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
    if wrong:
        raise _damaged(folder, f"{wrong[0]} is missing, foreign or changed since it was written")
    return vectors


def _damaged(folder: Path, why: str) -> DeskmateError:
    return DeskmateError(
        f"the index {folder} cannot be used: {why}; remove the folder {folder.parent} and ingest your documents again"
    )
