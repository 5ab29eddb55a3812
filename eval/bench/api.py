"""What the HTTP API adds to an answer: a hundred askers at once against a server of its own, with the echo model.

The server is another process, as in use. It answers without weights, so what is measured is ours: HTTP, keys, the line,
threads, and (with the real embedder) search.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.answering.modes import UNTUNED, Mode
from app.api.keys import Keys
from app.desk import Desk
from app.loop.jobs import environment, step_back
from eval.bench.server import running
from ingest.errors import DeskmateError

ASKERS = 100
DOCUMENTS = 2000
"""Documents that are ingested beside: more than are done by the time that everything is measured."""

SETTLE_S = 15.0
"""From the start of the ingest to the first question: it has loaded the embedder by then."""

ROUNDS = 5
"""Questions of each asker."""

PAUSE_S = 10.0
"""Where they do not all ask in the same moment: the time over which a round of questions is spread."""


def bench_api(desk: Desk, ingest: bool = False) -> list[dict[str, Any]]:
    """Time to the first word, as its asker sees it, in milliseconds.

    `prompt-only` searches nothing and the echo model takes no time: what it takes is ours. `rag-only` searches. In
    `burst` all askers send a question in the same moment, and the next one once all have been answered. In `steady`
    each asks every ten seconds, in turn. `beyond search` is what remains when search's own time, as the answer reports
    it, is taken away. `load` is what ran on the machine before, as an average of processes that wanted to.

    Args:
        desk: whose documents are searched.
        ingest: measure once more while documents are ingested beside, as a job of the chat.

    Raises:
        DeskmateError: there is no index, or the server does not start.
    """
    desk.searcher.open()
    store = Keys(desk.workspace.keys)
    key, secret = store.add(f"bench {os.getpid()}", (), ("chat",), days=1)
    ways = [(mode, how) for mode in UNTUNED for how in ("burst", "steady")]
    rows = []
    try:
        with running(_settings(desk)) as port:
            for mode, how in ways:
                rows.append(asyncio.run(_measure(port, secret, mode, how)) | {"beside": "nothing"})
                if ingest:
                    with _ingesting(desk):
                        rows.append(asyncio.run(_measure(port, secret, mode, how)) | {"beside": "an ingest"})
    finally:
        store.revoke(key.id)
    return rows


@contextmanager
def _ingesting(desk: Desk) -> Iterator[None]:
    """Ingest made-up documents into a throw-away workspace while a block lasts, as `/staff/documents` does."""
    with TemporaryDirectory() as folder:
        documents = Path(folder, "documents")
        documents.mkdir()
        for n in range(DOCUMENTS):
            text = f"# Rule {n}\n\n" + f"Rule {n} of room {n % 7} says that nobody leaves a window open. " * 400
            (documents / f"{n}.md").write_text(text)
        home = {"DESKMATE_HOME": folder, "DESKMATE_MODELS": str(desk.settings.models_folder.absolute())}
        command = [sys.executable, "-P", "-m", "app.cli", "ingest", str(documents)]
        beside = subprocess.Popen(  # noqa: S603  # our own command
            command,
            env={**environment(Path(folder)), **home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        step_back(beside.pid)
        try:
            time.sleep(SETTLE_S)
            yield
            if beside.poll() is not None:
                raise DeskmateError("the ingest ended before the measurement did; raise DOCUMENTS in eval/bench/api.py")
        finally:
            beside.kill()
            beside.wait()


def _settings(desk: Desk) -> dict[str, str]:
    """The same workspace for another process, with room for all askers."""
    return {
        "HOME": str(desk.workspace.root.absolute()),
        "MODELS": str(desk.settings.models_folder.absolute()),
        "RETRIEVAL__EMBEDDER": desk.settings.retrieval.embedder,
        "API__REQUESTS_PER_MINUTE": "1000000",
        "API__WAITING": str(ASKERS),
        "API__PER_KEY": str(ASKERS),
    }


async def _measure(port: int, secret: str, mode: Mode, how: str) -> dict[str, Any]:
    load, seen = os.getloadavg()[0], list[tuple[float, float]]()
    errors: Counter[str] = Counter()
    askers = [_Asker(secret, mode) for _ in range(ASKERS)]
    for asker in askers:
        await asker.connect(port)
    await asyncio.gather(*(asker.ask(0.0) for asker in askers))  # caches are warm
    began = time.perf_counter()
    for _ in range(ROUNDS):
        pauses = [0.0 if how == "burst" else PAUSE_S * n / ASKERS for n in range(ASKERS)]
        asked = (asker.ask(pause) for asker, pause in zip(askers, pauses, strict=True))
        for result in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(result, BaseException):
                errors[type(result).__name__] += 1
            else:
                seen.append(result)
    took = time.perf_counter() - began
    for asker in askers:
        asker.close()
    figures: dict[str, Any] = {"mode": str(mode), "askers": how, "requests": len(seen), "errors": _listed(errors)}
    first, beyond = [ms for ms, _ in seen], [ms - searched for ms, searched in seen]
    rate = {"per second": len(seen) / took, "load": load}
    return figures | rate | _percentiles("first word", first) | _percentiles("beyond search", beyond)


class _Asker:
    """A client of a few lines: a hundred of httpx's take more of the processor than the server does."""

    def __init__(self, secret: str, mode: Mode) -> None:
        messages = [{"role": "user", "content": "What do I do about error 809 of the VPN?"}]
        body = json.dumps({"model": f"deskmate/{mode}", "stream": True, "messages": messages}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, pause: float) -> tuple[float, float]:
        """Milliseconds to the first word of an answer, and those of its search."""
        await asyncio.sleep(pause)
        began, first, searched = time.perf_counter(), 0.0, 0.0
        self._writer.write(self._request)
        line = await self._reader.readline()
        if b" 200 " not in line:
            raise DeskmateError(line.decode().strip())
        while not line.startswith(b"data: [DONE]"):
            line = await self._reader.readline()
            if not first and line.startswith(b"data: ") and b'"content":""' not in line:
                first = (time.perf_counter() - began) * 1000
            if b'"deskmate":' in line:
                searched = json.loads(line.removeprefix(b"data: "))["deskmate"]["timing"]["retrieval_ms"]
        await self._reader.readuntil(b"0\r\n\r\n")  # the end of a chunked body
        return first, searched

    def close(self) -> None:
        self._writer.close()


def _listed(errors: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in errors.items()) or "none"


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else [0.0] * 99
    return {f"{name} p50 ms": cuts[49], f"{name} p95 ms": cuts[94], f"{name} p99 ms": cuts[98]}
