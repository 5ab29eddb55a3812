"""Parsers that misbehave, for the tests of the pool: workers import them by name."""

import os
import signal
import sys
import time

from ingest.load import parse
from ingest.records import Parsed
from ingest.settings import IngestSettings


def misbehave(data: bytes, name: str, settings: IngestSettings) -> Parsed:
    """Do what the file's content says: hang, eat memory, crash, die, fail; else parse it."""
    match data.decode("latin-1").strip():
        case "hang":
            time.sleep(60)
        case "spin":
            while True:
                pass
        case "eat":
            hoard = [bytes(2**26) for _ in range(1000)]
            time.sleep(len(hoard))
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit("no reason")
        case "recurse":
            return misbehave(data, name, settings)
        case "denied":
            raise PermissionError(13, "Permission denied")
        case "fail":
            raise ZeroDivisionError("a bug in a\nlibrary")
    return parse(data, name, settings)
