"""The API of a small office, in this process or behind a real server: what its tests share."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from office import Office

from app.api.keys import Keys
from app.api.routes import Api
from app.desk import Desk
from app.settings import load_settings

VPN = "Which port is blocked when I get error 809?"
BONUS = "How large is the bonus pool as a share of salaries?"
SECRET = "4 percent"

DOCUMENTS: dict[str, str | bytes] = {
    "it/vpn.md": "# VPN\n\nError 809 means that port 4500 is blocked. Switch to the other profile.\n",
    "hr/leave.md": "# Annual leave\n\nYou have 25 days of leave. Carry over at most 5 days until March.\n",
    "hr/managers/bonus.md": "# Bonus pool\n\nThe bonus pool is 4 percent of salaries.\n",
    "hr/managers/.access": "managers\n",
}


def open_desk(office: Office, **sections: dict[str, Any]) -> Desk:
    """A desk over the office's documents, without weights: hashed vectors and the echo model."""
    office.write(DOCUMENTS)
    office.ingest()
    flags: dict[str, dict[str, Any]] = {"retrieval": {"embedder": "hashing"}, "chat": {"backend": "echo"}}
    for section, values in sections.items():
        flags[section] = flags.get(section, {}) | values
    return Desk(load_settings(home=office.workspace.root, **flags))


def key_for(desk: Desk, *groups: str, scopes: tuple[str, ...] = ("chat", "search"), name: str = "") -> dict[str, str]:
    """The header of a new key."""
    store = Keys(desk.workspace.keys)
    _, secret = store.add(name or f"key {len(store.all())}", groups, scopes)
    return {"Authorization": f"Bearer {secret}"}


def in_process(desk: Desk) -> TestClient:
    """A client of the desk's API in this process; enter it, so that all its requests run in one event loop."""
    app = FastAPI()
    Api(desk).mount(app)
    return TestClient(app, raise_server_exceptions=False)


def chat(question: str, model: str = "deskmate", **more: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"model": model, "messages": [{"role": "user", "content": question}], **more}


@contextmanager
def serving(desk: Desk) -> Iterator[str]:
    """A real server of the desk's API, for what only sockets show; gives its address."""
    app = FastAPI()
    Api(desk).mount(app)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def wait_until(holds: Any, seconds: float = 3.0) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(holds())
