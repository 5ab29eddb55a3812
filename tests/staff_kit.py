"""The help desk's pages around a real desk without weights: the hashing embedder and the echo model."""

from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from app.desk import Desk
from app.people import Person, Role
from app.settings import load_settings
from app.staff.routes import mount_staff
from app.staff.workplace import workplace
from app.who import set_person
from ingest.workspace import Workspace

ADMIN = Person("user-1", "Ada", frozenset({"hr"}), Role.ADMIN)


class As:
    """An application as it is for one person, without the door in front."""

    def __init__(self, app: ASGIApp, person: Person) -> None:
        self.app, self.person = app, person

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            set_person(scope, self.person)
        await self.app(scope, receive, send)


def echo_desk(home: Path | Workspace, **sections: dict[str, object]) -> Desk:
    """A desk of a workspace without weights."""
    fakes = {"retrieval": {"embedder": "hashing"}, "chat": {"backend": "echo", "confidence": 0.0}}
    root = home.root if isinstance(home, Workspace) else home
    return Desk(load_settings(home=root, **{**fakes, **sections}))


def staff_client(desk: Desk, person: Person = ADMIN) -> TestClient:
    """A browser of somebody who works there."""
    app = FastAPI()
    mount_staff(app, replace(workplace(desk), title="Desk <b>"))
    return TestClient(As(app, person), base_url="http://desk.example")
