"""The web application: the chat mounted in FastAPI, the documents behind its citations, and a health check."""

import os
import socket
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.chat_ui import STATIC, build_chat, theme
from app.pages import source_page
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from app.desk import Desk

POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self' ws: wss:; font-src 'self' data:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
"""Gradio needs inline and evaluated script of its own; nothing may come from, or go to, another host."""


def create_app(desk: "Desk", *, title: str, examples: Sequence[str], groups: frozenset[str]) -> FastAPI:
    """The application for one desk.

    Args:
        desk: what answers.
        title: what the help desk is called.
        examples: questions that the empty page offers.
        groups: what the askers may read besides what is for everyone.
    """
    import gradio as gr

    # Gradio keeps a cache of files that were shown; ours is private and shows none.
    os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="deskmate-"))
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/source", response_class=HTMLResponse)
    def source(doc: str = Query(max_length=4096), start: int = 0, end: int = 0) -> Response:
        document = desk.document(doc, groups)
        if document is None:  # unknown and forbidden look the same
            return HTMLResponse("<p>not found</p>", status_code=404)
        return HTMLResponse(source_page(document, start, end))

    @app.middleware("http")
    async def headers(request, call_next):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        response = await call_next(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    return gr.mount_gradio_app(
        app,
        build_chat(desk, title=title, examples=examples, groups=groups),
        path="",
        show_error=False,
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
        allowed_paths=[],
        theme=theme(),
        css=(STATIC / "chat.css").read_text("utf-8"),
        js=(STATIC / "chat.js").read_text("utf-8"),
        favicon_path=str(STATIC / "favicon.svg"),
    )


def check_port(host: str, port: int) -> None:
    """See that the port is free before anything heavy loads.

    Raises:
        DeskmateError: when it is taken or may not be used.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DeskmateError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another port: deskmate chat --port {port + 1}"
            ) from error


def serve_desk(desk: "Desk") -> None:
    """Open the chat and serve it until it is stopped.

    Raises:
        DeskmateError: the port is taken, there is no index, or the model cannot be had.
    """
    import uvicorn

    chat = desk.settings.chat
    check_port(chat.host, chat.port)
    desk.searcher.open()
    desk.model.load()
    app = create_app(desk, title=chat.title, examples=chat.examples, groups=frozenset())
    print(f"{chat.title}: http://{chat.host}:{chat.port}   (Ctrl-C stops it)", flush=True)
    uvicorn.run(app, host=chat.host, port=chat.port, log_level="warning", timeout_graceful_shutdown=5)
