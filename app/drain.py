"""The end of a server, in order: no new questions, what is being answered is finished and kept, then it is over.

An ASGI application around the whole one, which counts what is going on, and the server that waits for it. Knows of
answers only how many there are.
"""

import os
import signal
import time
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.wire import ApiError
from app.chat.conversation import CLOSED
from app.web.harden import HEADERS

AGAIN_S = 10
"""When a client that was sent away may come again."""

CUT_S = 3.0
"""Seconds for answers that took too long to end where they are, and to be kept so."""

ENDING = ("/chats/", "/gradio_api/", "/desk/", "/assets/", "/static/")
"""What open pages need to hear the end of their answer, and to say what they think of it."""

LISTENING = ("/gradio_api/heartbeat/", "/gradio_api/queue/data")
"""What stays open as long as a page does: nothing that could be waited for."""


class Talk(Protocol):
    """What is asked of the chat (`app.chat.conversation.Conversation`)."""

    @property
    def running(self) -> int:
        """Questions that are being answered, or wait for it."""

    def close(self) -> None:
        """Take no more questions."""

    def cut_off(self) -> None:
        """End every answer where it is."""


class Drain:
    """Lets requests in until the end begins; from then on only those that end something."""

    def __init__(self, app: ASGIApp, talk: Talk, seconds: float) -> None:
        """Stand around `app`.

        Args:
            app: the whole application.
            talk: the chat, whose answers are no requests of their own.
            seconds: for which running answers may go on once the end has begun.
        """
        self._app = app
        self._talk = talk
        self._seconds = seconds
        self._requests = 0
        self._began: float | None = None
        self._cut = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say that the server is ending."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refuse(Request(scope)) if self.begun else None
        if refused is not None:
            await refused(scope, receive, send)
            return
        counts = not scope["path"].startswith(LISTENING)
        self._requests += counts
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= counts

    @property
    def begun(self) -> bool:
        """Whether the end has begun."""
        return self._began is not None

    @property
    def going_on(self) -> int:
        """Requests and answers that are not finished."""
        return self._requests + self._talk.running

    def begin(self) -> None:
        """Take nothing new from now on."""
        self._talk.close()
        self._began = time.monotonic()

    def over(self) -> bool:
        """Whether the server can end: all is finished, or has had its time. Asked again and again."""
        if self._began is None:
            return False
        took = time.monotonic() - self._began
        if took >= self._seconds and not self._cut:
            self._cut = True
            self._talk.cut_off()
        return not self.going_on or took >= self._seconds + CUT_S

    def _refuse(self, request: Request) -> Response | None:
        path, headers = request.url.path, {"retry-after": str(AGAIN_S), "connection": "close"}
        if path in ("/healthz", "/metrics") or path.startswith(ENDING):
            return None
        if path == "/readyz":
            return JSONResponse({"status": "draining", "reason": "the server is ending"}, 503, headers)
        if path.startswith("/v1/"):
            return JSONResponse(ApiError(503, CLOSED, "draining").body(), 503, headers)
        return PlainTextResponse(CLOSED, 503, {**HEADERS, **headers})


class Server(uvicorn.Server):
    """Uvicorn's, which ends with the first signal once everything is finished, and with the second at once."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self._told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self._drain.begun or not self.started:
            os._exit(130 if sig == signal.SIGINT else 128 + sig)  # the database survives that at any moment
        self._drain.begin()

    async def on_tick(self, counter: int) -> bool:
        """Look whether it is over, ten times a second."""
        if self._drain.begun and not self._told:
            self._told = True
            print(f"stopping: {self._drain.going_on} questions are finished first (again: at once)", flush=True)
        self.should_exit = self.should_exit or self._drain.over()
        return await super().on_tick(counter)
