"""Ingest again and again, each time with a fault at one call later, and look at what is left. Run as a program.

The fault is a SIGKILL, a full disk (ENOSPC) or, for what libraries write past Python, a limit on the size of files.

    python tests/crashing.py kill|full|small all|some FOLDER SCRATCH

FOLDER holds `docs` and `home`, a workspace with older generations. Each run works on a copy in SCRATCH, in a forked
process, so the libraries are imported once. Prints one JSON object a run, the first one without a fault: how it ended,
what it left, and what a search finds `after` it and after one more ingest.
"""

import builtins
import errno
import functools
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from office import Office, parse_here

import retrieval.build
from ingest.errors import DeskmateError
from retrieval.chunks import ChunkTable
from retrieval.dense import DenseIndex
from retrieval.lexical import LexicalIndex

QUESTION = "What about ports, leave, printers and parking?"
SIZES = [0, 1000, 4000, 16000, 30000, -1, -100, -500, -1000, -2000, -3000]
"""Largest file in bytes; a negative one holds from the writing of the lexical index on. The largest has some 33,000."""


class Faults:
    """Counts calls that write, and lets the n-th one fail."""

    def __init__(self, at: int, strike: Callable[[], None]) -> None:
        self.kinds: list[str] = []
        self._at = at
        self._strike = strike

    def install(self, full: bool) -> None:
        places = [(os, name) for name in ("fsync", "replace", "rename", "mkdir")]
        places += [(shutil, "copyfile"), (DenseIndex, "write"), (LexicalIndex, "update"), (ChunkTable, "put")]
        if not full:  # a full disk still lets go of files
            places += [(os, "unlink"), (os, "rmdir")]
        for owner, name in places:
            setattr(owner, name, self._counting(getattr(owner, name), lambda *_: True))
        os.open = self._counting(os.open, lambda path, flags, *_: bool(flags & (os.O_WRONLY | os.O_RDWR)))
        builtins.open = self._counting(builtins.open, lambda path, mode="r", *_: not set("wax+").isdisjoint(mode))
        Path.write_text = self._counting(Path.write_text, lambda *_: True)

    def _counting(self, call: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        @functools.wraps(call)
        def counting(*args: Any, **kwargs: Any) -> Any:
            if writes(*args):
                self.kinds.append(call.__qualname__)
                if len(self.kinds) == self._at:
                    self._strike()
            return call(*args, **kwargs)

        return counting


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def disk_is_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def limit_sizes(size: int) -> None:
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (abs(size), abs(size)))
    if size >= 0:
        limit()
        return
    update = LexicalIndex.update

    def limited(*args: Any) -> None:
        limit()
        update(*args)

    LexicalIndex.update = limited


def forked(run: Callable[[], Any]) -> tuple[str, Any]:
    """How `run` ended in a process of its own, `done`, `refused` (DeskmateError), `failed` or `killed`; its value."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            end = ("done", run())
        except DeskmateError as error:
            end = ("refused", str(error))
        except BaseException:  # noqa: BLE001  the parent reports it
            end = ("failed", traceback.format_exc())
        os.write(write, json.dumps(end).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        end = json.loads(file.read() or '["killed", null]')
    os.waitpid(pid, 0)
    return end[0], end[1]


def attempt(n: int, root: Path, scratch: Path, mode: str) -> dict[str, Any]:
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, symlinks=True)
    office = Office(copy)
    office.docs = root / "docs"

    def run() -> list[str]:
        faults = Faults(n, kill if mode == "kill" else disk_is_full)
        if mode == "small":
            limit_sizes(n)
        else:
            faults.install(mode == "full")
        office.ingest()
        return faults.kinds

    def look() -> list[Any]:
        seen = sorted(office.found(QUESTION)) if office.store.current_name() else []
        return [seen, office.ingest().documents, sorted(office.found(QUESTION)), office.leftovers()]

    end, value = forked(run)
    leftovers = office.leftovers()
    return {"n": n, "end": end, "value": value, "leftovers": leftovers, "after": forked(look)}


def ends(kinds: list[str]) -> list[int]:
    """The first and the last two calls of each kind: what lies between does the same to one more file."""
    places = {kind: [n for n, one in enumerate(kinds, start=1) if one == kind] for kind in kinds}
    return sorted({n for ns in places.values() for n in (ns[0], *ns[-2:])})


def main() -> None:
    mode, every = sys.argv[1], sys.argv[2] == "all"
    root, scratch = Path(sys.argv[3]), Path(sys.argv[4])
    retrieval.build.parse_files = parse_here
    whole = attempt(2**30 if mode == "small" else 0, root, scratch, mode)
    print(json.dumps(whole), flush=True)
    kinds = whole["value"]
    places = SIZES if mode == "small" else range(1, len(kinds) + 1) if every else ends(kinds)
    for n in places:
        print(json.dumps(attempt(n, root, scratch, mode)), flush=True)


if __name__ == "__main__":
    main()
