"""What all tests share: no network, a workspace under tmp_path, the fakes, and the folder of the real models."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from office import Office
    from queue_kit import Floor

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")

settings.register_profile("deskmate", deadline=None)  # a machine with other jobs is slow, not wrong
settings.load_profile("deskmate")

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No DESKMATE_ variable and no deskmate.toml of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith("DESKMATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Office":
    """An office with documents and a workspace, whose files are parsed in this process."""
    from office import Office, parse_here

    monkeypatch.setattr("retrieval.build.parse_files", parse_here)
    return Office(tmp_path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server, where the program is installed; the address of a database on it, but for its name."""
    from postgres_kit import postgres_server

    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest) -> str:
    """What `database.url` is: the tests of what keeps something run on both databases."""
    from postgres_kit import new_database

    return "" if request.param == "sqlite" else new_database(request.getfixturevalue("postgres"))


@pytest.fixture
def floor(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> "Iterator[Floor]":
    """A help desk with kept conversations, on both databases."""
    from queue_kit import make_floor

    floor = make_floor(request, tmp_path, database_url)
    yield floor
    floor.desk.database.close()


@pytest.fixture(scope="session")
def models() -> Path:
    """The embedded models, fetched once into the checkout's own workspace as `make chat` does."""
    from finetune.model import fetch_smollm2
    from ingest.embedded import MINILM, fetch

    folder = ROOT / ".deskmate" / "models"
    fetch(MINILM, folder)
    fetch_smollm2(folder)
    return folder
