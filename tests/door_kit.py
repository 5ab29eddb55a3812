"""The way in with a page behind it and nothing else: what the tests of accounts and sign-in share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from app.accounts.accounts import Accounts, Change, User
from app.accounts.routes import mount_sign_in
from app.database import Database, open_database
from app.settings import Settings, load_settings
from app.who import person_of

PASSWORD = "green river stone"
HERE = "http://127.0.0.1:7860"


def quick_hasher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with the least work: what is tested is not how long it takes."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("app.accounts.accounts._hasher", lambda: hasher)


def front_door(
    database: Database, home: Path, transport: httpx.AsyncBaseTransport | None = None, **sections: dict[str, Any]
) -> FastAPI:
    """An application whose page says who asks."""
    settings: Settings = load_settings(home=home, **sections)
    app = FastAPI()
    mount_sign_in(app, database, settings, transport)

    @app.get("/page")
    @app.get("/")
    def page(request: Request) -> dict[str, Any]:
        person = person_of(request)
        return {"id": person.id, "name": person.name, "groups": sorted(person.groups), "role": str(person.role)}

    @app.post("/write")
    async def write(request: Request) -> int:
        return len(await request.body())

    return app


def browser(app: FastAPI, base: str = HERE, host: str = "203.0.113.7") -> TestClient:
    """A browser that follows no redirect; by default on another machine."""
    return TestClient(app, base_url=base, client=(host, 1), follow_redirects=False, raise_server_exceptions=False)


def sign_in(client: TestClient, name: str = "anna", password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Send the form as a browser does."""
    headers = {"sec-fetch-site": "same-origin"}
    return client.post("/sign-in", data={"name": name, "password": password, **fields}, headers=headers)


def add(database: Database, name: str = "anna", **change: Any) -> User:
    """An account with a password."""
    return Accounts(database).add(name, "test", Change(**{"password": PASSWORD, **change}))


def fresh_database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    database = open_database("", tmp_path)
    yield database
    database.close()
