"""A chat of its own for a benchmark: another process, as in use, with the echo model."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from ingest.errors import DeskmateError

START_S = 120.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(settings: Mapping[str, str], port: int) -> "subprocess.Popen[bytes]":
    """Start a chat and wait until it is ready.

    Args:
        settings: by the names of `DESKMATE_` variables, such as `CHAT__TITLE`.
        port: where it listens.

    Raises:
        DeskmateError: it does not start.
    """
    ours = {f"DESKMATE_{name}": value for name, value in ({"CHAT__BACKEND": "echo"} | dict(settings)).items()}
    command = [sys.executable, "-P", "-m", "app.cli", "chat", "--port", str(port)]
    server = subprocess.Popen(  # noqa: S603  # our own command
        command, env=os.environ | ours, stdout=subprocess.DEVNULL, cwd=settings["HOME"]
    )
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    server.wait()
    raise DeskmateError("the server for the benchmark did not start; see above, or try: deskmate chat")


@contextmanager
def running(settings: Mapping[str, str]) -> Iterator[int]:
    """A chat while a block lasts; gives its port."""
    port = free_port()
    server = start(settings, port)
    try:
        yield port
    finally:
        server.terminate()
        server.wait()
