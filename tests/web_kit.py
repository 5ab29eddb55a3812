"""The whole web application around a desk without models: what its tests share."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.chat.conversation import Desk, Limits
from app.database import Database, open_database
from app.server import create_app
from app.settings import load_settings


def web_app(
    desk: Desk,
    home: Path,
    *,
    database: Database | None = None,
    limits: Limits | None = None,
    reports: Path | None = None,
    **sections: dict[str, Any],
) -> FastAPI:
    """The application; `sections` are settings, such as `chat={"title": "Desk"}`.

    Without accounts every client is a guest, and an asker: only a browser on this machine is more.
    """
    settings = load_settings(home=home, **sections)
    return create_app(desk, database or open_database("", home), settings, limits=limits, reports=reports)
