"""The questions that an adapter was tuned on, beside its weights: who measures it can see that it saw none of theirs.

Questions only, each once. They are as confidential as the adapter itself, which could be asked for them.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError

TUNED_ON = "tuned_on.jsonl.gz"
MOST_BYTES = 64 << 20
"""What is larger is no list of questions."""


def write_tuned_on(folder: Path, questions: Iterable[str]) -> None:
    """Put the questions into a folder that is about to be published."""
    lines = (json.dumps({"question": text}, ensure_ascii=False) + "\n" for text in dict.fromkeys(questions))
    (folder / TUNED_ON).write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def read_tuned_on(adapter: Adapter) -> list[str] | None:
    """The questions, or None for an adapter that carries none.

    Raises:
        DeskmateError: the file was changed since it was published, or is none of ours.
    """
    if TUNED_ON not in adapter.card.files:
        return None
    try:
        with gzip.open(io.BytesIO(adapter.read(TUNED_ON))) as file:
            data = file.read(MOST_BYTES)
        return [str(json.loads(line)["question"]) for line in data.splitlines()]
    except (ValueError, KeyError, TypeError, EOFError, OSError, zlib.error) as error:
        raise DeskmateError(f"{adapter.folder / TUNED_ON} holds no questions; tune the adapter again") from error
