"""The adapters of a workspace: versions that are published whole, one of which serves, and the way back.

Knows folders, cards and the pointer `SERVED`; knows nothing of models. Any process may read while one writes.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetune.adapters.card import CARD, CONFIG, WEIGHTS, Adapter, Card, FileFact, open_adapter, write_card
from finetune.adapters.lora import read_lora
from finetune.adapters.model_card import render_model_card
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, remove_leftovers, staged_folder, write_atomic, writer_lock

SERVED, README = "SERVED", "README.md"
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"v([1-9]\d{0,8})")


class Registry:
    """The folder `adapters` of a workspace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, name: str, source: Path, card: Card) -> Adapter:
        """Copy an adapter in as the next version of `name`. It appears whole or not at all.

        Args:
            name: lower-case letters, digits, `-` and `_`.
            source: a folder with PEFT's two files and whatever else belongs to the adapter (a loss curve, logs); a
                `README.md` in it is replaced by one made of the card.
            card: what training knows; name, version, date and hashes are filled in here.

        Raises:
            DeskmateError: a bad name, files that are no plain LoRA, pickles, or a disk that refuses.
        """
        if not _NAME.fullmatch(name):
            raise DeskmateError(
                f"{name!r} is no name for an adapter; use lower-case letters, digits, - and _, at most 64"
            )
        self._check_source(source)
        try:
            with writer_lock(self.folder):
                self._clear_up(name)
                version = max(self.versions(name), default=0) + 1
                card = replace(
                    card, name=name, version=version, created=datetime.now(UTC).isoformat(timespec="seconds")
                )
                final = self.folder / name / f"v{version}"
                with staged_folder(final) as staged:
                    _fill(staged, source, card)
                return open_adapter(final)
        except OSError as error:
            raise explain_disk_error(error, f"publishing the adapter {name}") from error

    def names(self) -> list[str]:
        """Every adapter that has a version."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and self.versions(path.name))

    def versions(self, name: str) -> list[int]:
        """The version numbers of an adapter, the oldest first."""
        matches = (_VERSION.fullmatch(path.name) for path in (self.folder / name).glob("v*") if path.is_dir())
        return sorted(int(match[1]) for match in matches if match)

    def all(self) -> list[Adapter | DeskmateError]:
        """Every version of every adapter; in the place of one that is damaged, what is wrong with it."""
        found: list[Adapter | DeskmateError] = []
        for name in self.names():
            for version in self.versions(name):
                try:
                    found.append(open_adapter(self.folder / name / f"v{version}"))
                except DeskmateError as error:
                    found.append(error)
        return found

    def find(self, reference: str) -> Adapter:
        """An adapter by `name` (its newest version) or `name/vN`.

        Raises:
            DeskmateError: there is no such adapter; says which there are.
        """
        name, _, version = reference.partition("/")
        versions = self.versions(name) if _NAME.fullmatch(name) else []
        number = _VERSION.fullmatch(version)
        wanted = int(number[1]) if number else versions[-1] if versions and not version else 0
        if wanted not in versions:
            known = [f"{one}/v{self.versions(one)[-1]}" for one in self.names()]
            there = f"there are {', '.join(known)}" if known else "there is none yet; run deskmate tune"
            raise DeskmateError(f"there is no adapter {reference!r} in {self.folder}: {there}")
        return open_adapter(self.folder / name / f"v{wanted}")

    def served_id(self) -> str | None:
        """The `name/vN` that serves, or None where the base does."""
        history = self._history()
        return history[-1] if history else None

    def served(self) -> Adapter | None:
        """The adapter that serves.

        Raises:
            DeskmateError: it is gone or damaged.
        """
        reference = self.served_id()
        if not reference:
            return None
        try:
            return self.find(reference)
        except DeskmateError as error:
            raise DeskmateError(f"{error}; it was promoted: run deskmate adapters rollback") from error

    def promote(self, adapter: Adapter) -> None:
        """Let a version serve from the next question on. What served before is remembered for `rollback`.

        Raises:
            DeskmateError: one of its files was changed since it was published.
        """
        for name in adapter.card.files:
            adapter.read(name)
        with writer_lock(self.folder):
            self._clear_up(adapter.card.name)
            history = self._history()
            if history[-1:] != [adapter.id]:
                self._point([*history, adapter.id])

    def rollback(self) -> str | None:
        """Let what served before the last promotion serve again; returns its `name/vN`, or None for the base.

        Raises:
            DeskmateError: nothing was promoted.
        """
        with writer_lock(self.folder):
            history = self._history()
            if not history:
                raise DeskmateError("no adapter serves, so there is nothing to go back from")
            self._point(history[:-1])
            return history[-2] if len(history) > 1 else None

    def remove(self, adapter: Adapter) -> None:
        """Delete a version for good. Its number is not given again while a later one is there.

        Raises:
            DeskmateError: it serves, or a rollback would bring it back.
        """
        with writer_lock(self.folder):
            if adapter.id in self._history():
                raise DeskmateError(
                    f"{adapter.id} was promoted, and serves or would serve after a rollback; roll back beyond it first"
                )
            folder = self.folder / adapter.id
            gone = folder.with_name(f".staged-removed-{folder.name}")  # a reader sees all of it or nothing
            try:
                folder.rename(gone)
            except OSError as error:
                raise explain_disk_error(error, f"deleting {adapter.id}") from error
            shutil.rmtree(gone, ignore_errors=True)

    def _history(self) -> Sequence[str]:
        """What was promoted and not rolled back, the one that serves last."""
        try:
            data: Any = json.loads((self.folder / SERVED).read_text("utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise self._bad_pointer() from error
        if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
            raise self._bad_pointer()
        return data

    def _bad_pointer(self) -> DeskmateError:
        return DeskmateError(f"{self.folder / SERVED} cannot be read; remove it, then promote an adapter again")

    def _point(self, history: Sequence[str]) -> None:
        try:
            write_atomic(self.folder / SERVED, (json.dumps(history) + "\n").encode())
        except OSError as error:
            raise explain_disk_error(error, "promoting an adapter") from error

    def _clear_up(self, name: str) -> None:
        """Remove what killed writers left. Under the lock."""
        for folder in (self.folder, self.folder / name):
            remove_leftovers(folder, pointer=SERVED)

    def _check_source(self, source: Path) -> None:
        for name in (CONFIG, WEIGHTS):
            if not (source / name).is_file():
                raise DeskmateError(f"{source} has no {name}; publish a folder as PEFT saves it, with safetensors")
        for path in source.iterdir():
            if path.suffix in PICKLES:
                raise DeskmateError(f"{path} may be a pickle, which can run code; publish safetensors only")
        try:
            read_lora((source / CONFIG).read_bytes(), (source / WEIGHTS).read_bytes())
        except OSError as error:
            raise explain_disk_error(error, f"reading {source}") from error


def _fill(staged: Path, source: Path, card: Card) -> None:
    """Put the files, the README and the card with everyone's hashes into a version that is being made."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in (CARD, README):
            shutil.copyfile(path, staged / path.name)
    config = json.loads((staged / CONFIG).read_text("utf-8"))
    config["base_model_name_or_path"] = card.base  # not the folder that it had on the machine that tuned it
    (staged / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", "utf-8")
    (staged / README).write_text(render_model_card(card, sorted(path.name for path in staged.iterdir())), "utf-8")
    facts = {}
    for path in sorted(staged.iterdir()):
        data = path.read_bytes()
        facts[path.name] = FileFact(hashlib.sha256(data).hexdigest(), len(data))
    write_card(staged, replace(card, files=facts))
