"""What is lost when the chat is killed in the middle of work: nothing that somebody was told is done.

People ask, judge and ask for a person, over HTTP as their pages do, until the server is ended at a random moment: every
other time politely (SIGTERM), else by `kill -9`. It is started again, and what was acknowledged is looked for. The
server is a process of its own, forked from one that has imported what takes seconds to import.
"""

import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from app.accounts.audit import verify
from app.console import SilentProgress, track
from app.database import FILE, open_database
from app.desk import Desk
from app.settings import load_settings
from eval.bench.chat_client import Browser, CutOffError
from eval.bench.server import free_port
from ingest.errors import DeskmateError

ASKERS = 6
MOST_DONE = 40
"""The server is ended after one to so many things were acknowledged, and a little while later."""

LONGEST_S = 60.0
"""Longest wait for them."""

END_S = 60.0
"""Longest time for a polite end."""

START_S = 600.0
"""Longest start: how long it takes on a machine with other jobs is no result."""

DOCUMENT = "# VPN\n\nError 809 means that port 4500 is blocked.\n\n# Leave\n\nYou have 25 days of leave a year.\n"
QUESTIONS = ("What about error 809?", "How many days of leave do I have?", "Where is the canteen?")

Row = dict[str, Any]


@dataclass
class Acknowledged:
    """What people were told is done."""

    exchanges: dict[int, str] = field(default_factory=dict)
    judgements: dict[int, str] = field(default_factory=dict)
    handovers: set[str] = field(default_factory=set)
    cut_off: int = 0

    def __len__(self) -> int:
        return len(self.exchanges) + len(self.judgements) + len(self.handovers)


def bench_crash(repetitions: int, seed: int = 0) -> list[Row]:
    """End a chat under load again and again, in a workspace of its own.

    Returns:
        A row for each way of ending it: how often, what was acknowledged, what of it was lost, how often it ended with
        another code than it should, and the slowest start after it.

    Raises:
        DeskmateError: the server does not start, or the database is damaged.
    """
    chance = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder, "home"), free_port())
        place.fill(Path(folder))
        rows = {sig: _nothing(sig) for sig in (signal.SIGTERM, signal.SIGKILL)}
        told = Acknowledged()
        server = place.start()
        try:
            for n in track(range(repetitions), "ending"):
                sig = list(rows)[n % 2]
                row, before, cut = rows[sig], len(told), told.cut_off
                code = _end_under_load(server, place.port, sig, chance, told)
                began = time.perf_counter()
                server = place.start()
                row["slowest start s"] = max(row["slowest start s"], time.perf_counter() - began)
                row["times"] += 1
                row["acknowledged"] += len(told) - before
                row["askers cut off"] += told.cut_off - cut
                row["other exit codes"] += code != (0 if sig == signal.SIGTERM else -signal.SIGKILL)
                row["lost"] += _lost(place.home, told)
        finally:
            server.kill()
            server.join()
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class Place:
    """A workspace and the port at which it is served."""

    home: Path
    port: int

    def desk(self) -> Desk:
        """The desk, with the echo model and vectors without weights."""
        chat = {"backend": "echo", "port": self.port}
        return Desk(load_settings(home=self.home, chat=chat, retrieval={"embedder": "hashing"}))

    def fill(self, folder: Path) -> None:
        """Make the index."""
        (folder / "help.md").write_text(DOCUMENT)
        self.desk().ingest(SilentProgress()).run([folder / "help.md"])

    def start(self) -> BaseProcess:
        """Start the server and wait until it is ready."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["app.server", "app.chat.ui", "app.cli"])
        server = context.Process(target=_serve, args=(self,))
        server.start()
        deadline = time.monotonic() + START_S
        while server.is_alive() and time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == httpx.codes.OK:
                    return server
            except httpx.TransportError:
                time.sleep(0.05)
        server.kill()
        raise DeskmateError("the server for the benchmark did not start; see above, or try: deskmate chat")


def _serve(place: Place) -> None:
    from app.server import serve_desk

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the benchmark prints is its own
    serve_desk(place.desk())


def _nothing(sig: signal.Signals) -> Row:
    counts = ("times", "acknowledged", "lost", "askers cut off", "other exit codes")
    return {"ended by": sig.name, **dict.fromkeys(counts, 0), "slowest start s": 0.0}


def _end_under_load(
    server: BaseProcess, port: int, sig: signal.Signals, chance: random.Random, told: Acknowledged
) -> int | None:
    """Let people work, end the server at some moment, and give its exit code; None where it had to be killed."""
    over = threading.Event()
    people = [
        threading.Thread(target=_work, args=(port, told, over, random.Random(chance.random())))  # noqa: S311
        for _ in range(ASKERS)
    ]
    enough, deadline = len(told) + chance.randint(1, MOST_DONE), time.monotonic() + LONGEST_S
    for one in people:
        one.start()
    while len(told) < enough and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.2))
    os.kill(server.pid or 0, sig)
    server.join(END_S)
    code = server.exitcode
    server.kill()
    over.set()
    for one in people:
        one.join()
    return code


def _work(port: int, told: Acknowledged, over: threading.Event, chance: random.Random) -> None:
    """One person: asks, judges, and now and then wants a person; notes what was acknowledged, and nothing else."""
    try:
        with Browser(f"http://127.0.0.1:{port}") as browser:
            conversation = ""
            while not over.is_set():
                answer = browser.ask(chance.choice(QUESTIONS), conversation)
                if not answer.exchange:
                    return  # the server takes no more questions
                conversation = answer.conversation
                told.exchanges[answer.exchange] = conversation
                verdict = chance.choice(("up", "down", ""))
                if verdict:
                    browser.judge(answer.exchange, verdict)
                    told.judgements[answer.exchange] = verdict
                if chance.random() < 0.3:
                    browser.hand_over(conversation, "please call me")
                    told.handovers.add(conversation)
                    conversation = ""  # the assistant is silent in that one
    except CutOffError:
        told.cut_off += 1


def _lost(home: Path, told: Acknowledged) -> int:
    """How much of all that was ever acknowledged is not there; raises where the database is damaged."""
    with closing(sqlite3.connect(home / FILE)) as connection:
        exchanges = dict(connection.execute("SELECT id, conversation FROM exchanges"))
        judgements = dict(connection.execute("SELECT exchange, verdict FROM judgements"))
        handovers = {name for (name,) in connection.execute("SELECT conversation FROM handovers")}
        whole = connection.execute("PRAGMA integrity_check").fetchall()
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    audited = verify(open_database("", home))
    if whole != [("ok",)] or orphans or audited.problem:
        raise DeskmateError(f"the database did not survive: {whole}, {orphans}, {audited.problem}")
    lost: int = sum(exchanges.get(number) != conversation for number, conversation in told.exchanges.items())
    lost += sum(judgements.get(number) != verdict for number, verdict in told.judgements.items())
    return lost + len(told.handovers - handovers)
