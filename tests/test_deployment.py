"""Image and compose file keep their promises, as far as reading can tell: they are not run here."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from typer.main import get_command

from app.cli import app
from app.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
yaml = pytest.importorskip("yaml")


def steps(name: str) -> list[str]:
    """What comes after an instruction, each time it is used, with its lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(f"{name} ").strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content


def variables() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(steps("ENV"))))


def test_everything_that_is_copied_is_there_and_let_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for copied in steps("COPY"):
        if copied.startswith("--from"):
            continue
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source in let_through, source


def test_only_what_is_named_travels_into_the_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert not any(path.startswith("secrets") for path in tracked)


def test_the_image_runs_a_command_that_there_is_as_nobody_in_particular() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert steps("ENTRYPOINT") == ['["deskmate"]']
    assert {json.loads(steps("CMD")[0])[0]} <= commands
    assert re.search(r"deskmate doctor", DOCKERFILE)
    assert "doctor" in commands
    assert steps("USER") == ["deskmate"]
    assert DOCKERFILE.index("USER deskmate") > DOCKERFILE.rindex("RUN ")
    assert "/healthz" in DOCKERFILE
    assert not re.search(r"(?i)password|secret|_key=", DOCKERFILE)


def test_the_image_listens_where_it_says_and_keeps_its_workspace_in_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: value for name, value in variables().items() if name.startswith("DESKMATE_")}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings: Settings = load_settings()
    [volume] = steps("VOLUME")
    assert steps("EXPOSE") == [str(settings.chat.port)]
    assert settings.chat.host == "0.0.0.0"
    assert settings.home.parent == Path(volume)  # a restore exchanges it: it is no mount point itself


def test_the_services_wait_for_each_other_and_are_looked_after() -> None:
    services = compose()["services"]
    assert services["deskmate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "pg_isready" in services["postgres"]["healthcheck"]["test"][1]
    assert services["vllm"]["profiles"] == ["gpu"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source.startswith("./") or source in compose()["volumes"]
    [port] = services["deskmate"]["ports"]
    assert port == "127.0.0.1:7860:7860"
    grace = int(services["deskmate"]["stop_grace_period"].removesuffix("s"))
    assert grace > load_settings().chat.drain_seconds + 10


def test_what_compose_sets_are_settings_and_no_secret_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "compose.yaml").read_text()
    url = re.sub(r"\$\([^)]*\)", "x", re.search(r'DESKMATE_DATABASE__URL=(.*)" >', text)[1])  # type: ignore[index]
    assert make_url(url).drivername == "postgresql+psycopg"
    for name, value in compose()["services"]["deskmate"]["environment"].items():
        monkeypatch.setenv(name, value)
    assert load_settings().sign_in.proxies == ("*",)
    database = compose()["services"]["postgres"]
    assert "POSTGRES_PASSWORD" not in database["environment"]
    assert {"POSTGRES_USER": make_url(url).username, "POSTGRES_DB": make_url(url).database}.items() <= database[
        "environment"
    ].items()
