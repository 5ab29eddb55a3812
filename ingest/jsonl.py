"""JSON lines in, with the file and line of whatever is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.errors import DeskmateError


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object of each line that is not blank.

    Raises:
        DeskmateError: the file cannot be read or a line is no JSON object; with file and line.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")  # not splitlines: JSON may hold U+2028 as it is
    except (OSError, UnicodeDecodeError) as error:
        raise DeskmateError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DeskmateError(f"{path}:{number}: no JSON ({error})") from error
        if not isinstance(data, dict):
            raise DeskmateError(f"{path}:{number}: not a JSON object")
        yield number, data
