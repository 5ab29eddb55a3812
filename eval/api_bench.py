"""What the HTTP API adds to an answer: a hundred askers at once against a server of its own, with the echo model.

The server is another process, as in use. It answers without weights, so what is measured is ours: HTTP, keys, the line,
threads, and (with the real embedder) search.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from app.desk import Desk
from app.keys import Keys
from ingest.errors import DeskmateError

ASKERS = 100
ROUNDS = 5
"""Questions of each asker."""

PAUSE_S = 10.0
"""Where they do not all ask in the same moment: the mean time between two questions of one asker."""

START_S = 120.0


def bench_api(desk: Desk) -> list[dict[str, Any]]:
    """Time to the first word, as its asker sees it, in milliseconds.

    In `burst` all askers send a question in the same moment, and the next one once all have been answered. In `steady`
    each asks on its own, every few seconds. `beyond` is what remains when search's own time, as the answer reports it,
    is taken away.

    Raises:
        DeskmateError: there is no index, or the server does not start.
    """
    desk.searcher.open()
    store = Keys(desk.workspace.keys)
    key, secret = store.add(f"bench {os.getpid()}", (), ("chat",), days=1)
    try:
        with _server(desk) as address:
            return [asyncio.run(_measure(address, secret, how)) for how in ("burst", "steady")]
    finally:
        store.revoke(key.id)


@contextmanager
def _server(desk: Desk) -> Iterator[str]:
    """A chat of the same workspace on a free port, with the echo model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "HOME": str(desk.workspace.root.absolute()),
        "MODELS": str(desk.settings.models_folder.absolute()),
        "RETRIEVAL__EMBEDDER": desk.settings.retrieval.embedder,
        "CHAT__BACKEND": "echo",
        "API__REQUESTS_PER_MINUTE": "1000000",
        "API__WAITING": str(ASKERS),
    }
    environment = os.environ | {f"DESKMATE_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-c", "from app.cli import main; main()", "chat", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, address)
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", address: str) -> None:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise DeskmateError("the server for the benchmark did not start; see above, or try: deskmate chat")


async def _measure(address: str, secret: str, how: str) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=ASKERS, max_keepalive_connections=ASKERS)
    headers = {"Authorization": f"Bearer {secret}"}
    seen: list[tuple[float, float]] = []
    errors: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=120) as client:
        await asyncio.gather(*(_ask(client, n) for n in range(ASKERS)))  # connections are open, caches are warm
        began = time.perf_counter()
        for round_ in range(ROUNDS):
            pauses = [0.0 if how == "burst" else PAUSE_S * n / ASKERS for n in range(ASKERS)]
            asked = (_ask(client, n + round_ * ASKERS, pause) for n, pause in enumerate(pauses))
            for result in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(result, BaseException):
                    errors[type(result).__name__] += 1
                else:
                    seen.append(result)
        took = time.perf_counter() - began
    first = [ms for ms, _ in seen]
    beyond = [ms - searched for ms, searched in seen]
    figures = {"askers": how, "requests": len(seen), "errors": _listed(errors), "per second": len(seen) / took}
    return figures | _percentiles("first word", first) | _percentiles("beyond search", beyond)


async def _ask(client: httpx.AsyncClient, number: int, pause: float = 0.0) -> tuple[float, float]:
    """Milliseconds to the first word of one answer, and those of its search."""
    await asyncio.sleep(pause)
    question = f"What do I do about error {600 + number} of the VPN?"
    body = {"model": "deskmate/rag-only", "stream": True, "messages": [{"role": "user", "content": question}]}
    began, first, searched = time.perf_counter(), 0.0, 0.0
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                data = json.loads(line.removeprefix("data: "))
                if not first and data["choices"][0]["delta"].get("content"):
                    first = (time.perf_counter() - began) * 1000
                if "deskmate" in data:
                    searched = data["deskmate"]["timing"]["retrieval_ms"]
    return first, searched


def _listed(errors: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in errors.items()) or "none"


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else [0.0] * 99
    return {f"{name} p50 ms": cuts[49], f"{name} p99 ms": cuts[98]}
