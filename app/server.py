"""The web application: the chat mounted in FastAPI, its few files, and a health check."""

import asyncio
import errno
import hashlib
import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.accounts.routes import mount_sign_in
from app.api.routes import Api
from app.chat import talk
from app.chat.archive import Archive
from app.chat.conversation import Conversation, Desk, House, Limits
from app.chat.judgements import Judgements
from app.chat.routes import Chats, mount_chats
from app.database import Database
from app.faults import Faults
from app.ratings.routes import mount_ratings
from app.safekeeping.restore import serving
from app.settings import Settings
from app.staff.handovers import Handovers
from app.staff.routes import mount_staff
from app.staff.workplace import Staff, workplace
from app.web.frame import modes_json, page_html
from app.web.harden import Guard
from app.web.report_pages import mount_reports
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from app.desk import Desk as WholeDesk

STATIC = Path(__file__).parent / "static"

KEEP_S = 75
"""Seconds that an idle connection stays open."""


def create_app(
    desk: Desk,
    database: Database,
    settings: Settings,
    *,
    handovers: talk.Handovers | None = None,
    staff: Staff | None = None,
    limits: Limits | None = None,
    reports: Path | None = None,
) -> FastAPI:
    """The application for one desk: the chat at `/`, `/chats`, `/sign-in`, `/healthz`, ratings at `/rate`, `/reports`.

    Args:
        desk: what answers.
        database: accounts, conversations and the audit. Who asks, so what is found, is decided by it.
        settings: what the desk is called and shows, and how people sign in.
        handovers: who takes conversations over; by default the help desk's own queue.
        staff: the help desk's workplace, served at `/staff`; none by default.
        limits: how many answers are computed at the same time, and how many questions may wait; of one person
            `chat.per_person` by default.
        reports: the folder of the evaluations that people may read, and whose answers they may rate; none by default.
    """
    title = settings.chat.title
    archive, handovers = Archive(database, desk), handovers or Handovers(database)
    limits = limits or Limits(each=settings.chat.per_person)
    conversation = Conversation(desk, archive, handovers, House(title, settings.chat.examples), limits)
    # No pages of documentation: FastAPI's would load scripts from another host.
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.talk = conversation
    mount_sign_in(app, database, settings)
    app.add_middleware(Faults)
    mount_chats(app, Chats(desk, archive, Judgements(database), handovers, conversation.start))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/favicon.ico", include_in_schema=False)
    def favicon() -> FileResponse:
        return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")

    app.mount("/desk", StaticFiles(directory=STATIC))
    if staff is not None:
        mount_staff(app, staff)
    if reports is not None:
        mount_ratings(app, reports, title)
        mount_reports(app, reports, title)
    _mount_chat(app, conversation, title, reports is not None)
    return app


def _mount_chat(app: FastAPI, conversation: Conversation, title: str, reports: bool) -> None:
    """Put Gradio's page at `/`, behind its guard. It takes every address that is left, so it comes last."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Gradio keeps a cache of files that were shown. Ours is private, and no path of it can be asked for.
    os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="deskmate-"))
    import gradio as gr

    from app.chat.ui import build_chat, theme

    gr.mount_gradio_app(
        app,
        build_chat(conversation, title, reports=reports),
        path="/",
        show_error=False,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        allowed_paths=[],
        max_file_size=1,
        theme=theme(),
    )
    links = _links()
    gradio_mount = app.router.routes[-1]
    assert isinstance(gradio_mount, Mount)
    gradio_mount.app = Guard(gradio_mount.app, lambda page: page_html(page, title, links))


def _links() -> str:
    """What the page's head loads. The address carries the contents' hash, so that no old file is ever shown."""

    def address(name: str) -> str:
        return f"/desk/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"

    return (
        f'<link rel="icon" href="{address("favicon.svg")}" type="image/svg+xml">'
        f'<link rel="stylesheet" href="{address("chat.css")}">'
        f'<script src="{address("chat.js")}"></script><script src="{address("chats.js")}"></script>'
        f"<script>deskmate.modes = {modes_json()};</script>"
    )


def claim_port(host: str, port: int) -> socket.socket:
    """Take a port before anything heavy loads, so that nobody waits for a model in vain.

    Raises:
        DeskmateError: it is in use, needs more rights, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    claimed = socket.socket(family)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((host, port))
    except OSError as error:
        claimed.close()
        if isinstance(error, socket.gaierror):
            raise DeskmateError(f"{host} is no address of this machine; correct --host") from error
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise DeskmateError(
            f"port {port} on {host} {reason}; choose another with --port, such as {port + 1}"
        ) from error
    return claimed


def serve(app: FastAPI, listening: socket.socket, settings: Settings) -> None:
    """Serve until the first signal to stop, and then until what is being answered is finished; the second ends at once.

    Args:
        app: from `create_app`.
        listening: from `claim_port`.
        settings: how long running answers may take then, and whose word is taken for who asks, and whether by https.
    """
    import uvicorn

    from app.drain import Drain, Server

    drain = Drain(app, app.state.talk, settings.chat.drain_seconds)
    proxies = list(settings.sign_in.proxies)
    # Open pages hold a connection each: without a limit, the end would wait for every one of them.
    # Clients keep connections for reuse: one that the server closes first can lose a request that is on its way.
    config = uvicorn.Config(
        drain,
        log_level="warning",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEEP_S,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    Server(config, drain).run(sockets=[listening])


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record tells anything: that open pages were cut off at Ctrl-C does not."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and "graceful shutdown" not in record.getMessage()


def serve_desk(desk: "WholeDesk") -> None:
    """Open the chat for a workspace and serve it until stopped.

    Raises:
        DeskmateError: the port is taken, there is no index, or the model cannot be had.
    """
    chat = desk.settings.chat
    with claim_port(chat.host, chat.port) as port, serving(desk.workspace.root):
        database = desk.database  # what is wrong with it is said before a model loads
        known = desk.status()
        offer = desk.serving.offer(frozenset())
        tuned = f"with {known.adapter}" if known.adapter else f"without an adapter ({offer.reason})"
        print(f"{known.documents:,} documents; loading {known.model} {tuned} …", flush=True)
        desk.model.load(offer.adapter)
        desk.embedder.embed(["warm"])
        api = Api(desk)
        staff = workplace(desk)
        reports = desk.workspace.root / "reports"
        app = create_app(
            api.counted(), database, desk.settings, handovers=staff.handovers, staff=staff, reports=reports
        )
        api.mount(app)
        shown = f"[{chat.host}]" if ":" in chat.host else chat.host
        print(f"{chat.title}: http://{shown}:{chat.port}   (Ctrl-C stops it)", flush=True)
        with staff.post:
            serve(app, port, desk.settings)
        if job := desk.jobs.running():
            print(f"a job goes on without the chat: {job.title}", flush=True)
