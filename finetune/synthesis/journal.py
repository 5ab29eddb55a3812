"""Replies that were paid for, one line each, so that a run that was killed goes on where it stopped.

Knows keys and texts; knows nothing of what they mean.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ingest.workspace import write_atomic


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply, what it cost, and the chunks that it is about."""

    key: str
    chunks: tuple[str, ...]
    text: str
    prompt_tokens: int
    completion_tokens: int


class Journal:
    """Replies by their keys. A key says all that the reply depends on, so what has changed is simply not found."""

    def __init__(self, file: IO[bytes], replies: dict[str, Reply]) -> None:
        self._file = file
        self._replies = replies

    def get(self, key: str) -> Reply | None:
        """The reply under a key."""
        return self._replies.get(key)

    def put(self, reply: Reply) -> None:
        """Keep a reply. The system has it before this returns: a process that is killed then has lost nothing."""
        self._file.write(_line(reply))
        self._file.flush()
        self._replies[reply.key] = reply


@contextmanager
def open_journal(path: Path, wanted: Callable[[Reply], bool]) -> Iterator[Journal]:
    """Open a journal to read and to go on writing.

    What is no longer wanted is removed first, such as replies that quote documents which are gone, and so is the line
    that was being written when a run was killed.

    Args:
        path: made where there is none.
        wanted: whether a reply of an earlier run may stay.

    Raises:
        OSError: when the disk refuses.
    """
    replies = {reply.key: reply for reply in _read(path) if wanted(reply)}
    write_atomic(path, b"".join(map(_line, replies.values())))
    with open(path, "ab") as file:
        yield Journal(file, replies)


def _read(path: Path) -> Iterator[Reply]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            data = json.loads(line)
            yield Reply(**data | {"chunks": tuple(data["chunks"])})
        except (ValueError, TypeError, KeyError):
            continue  # torn, or written by another version: asked for again


def _line(reply: Reply) -> bytes:
    return json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
