"""The door of the HTTP API: whose key it is, how often it may knock, how much it may bring. Knows no answers.

Nothing here, or behind it, writes a key, a question or an answer to a log: of an error only its kind and its place.
"""

import asyncio
import logging
import math
import secrets
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.keys import Key, Keys
from app.api.wire import ApiError
from app.settings import ApiSettings

T = TypeVar("T")

SEND_S = 30.0
"""Seconds in which a client must have sent its request."""

UNEXPECTED = "something went wrong on our side; it was logged, please try again"

log = logging.getLogger("deskmate.api")


class GoneError(Exception):
    """The client closed the connection: nobody waits for what was computed."""


class Door:
    """Lets requests in, or says why not."""

    def __init__(self, keys: Keys, settings: ApiSettings) -> None:
        self._keys = keys
        self._settings = settings
        self._buckets: dict[str, tuple[float, float]] = {}  # by key: requests left, and when that was

    def admit(self, request: Request, scope: str = "") -> Key:
        """The key of a request. Its groups, never anything in the request, decide what is found.

        Args:
            request: with the key as a bearer token.
            scope: what the key must be good for; empty for what any key may do.

        Raises:
            ApiError: 401 without a good key, 403 without the scope, 429 when it comes too often.
            DeskmateError: the keys cannot be read.
        """
        kind, _, sent = request.headers.get("authorization", "").partition(" ")
        key = self._keys.find(sent.strip()) if kind.lower() == "bearer" and sent.strip() else None
        if key is None:
            raise ApiError(401, self._why_not(bool(sent)), "invalid_api_key")
        if scope and scope not in key.scopes:
            raise ApiError(403, f"this key lacks the scope {scope}; it has {', '.join(key.scopes)}", "missing_scope")
        self._take(key)
        if self._keys.due(key):  # it writes a file: no stream of another asker waits for the disk
            asyncio.get_running_loop().run_in_executor(None, self._keys.touch, key)
        return key

    async def body(self, request: Request) -> bytes:
        """The whole of a request's body.

        Raises:
            ApiError: it is too large, or comes too slowly.
            GoneError: the client left before its end.
        """
        most = self._settings.max_body_kb * 1024
        body = bytearray()
        try:
            async with asyncio.timeout(SEND_S):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise GoneError
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise ApiError(413, f"the request is larger than {most // 1024} KiB", "request_too_large")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise ApiError(408, f"the request took longer than {SEND_S:g} s to arrive") from None
        return bytes(body)

    def _why_not(self, sent: bool) -> str:
        if not self._keys.all():
            return "the API is closed: there is no key yet; on the server, run: deskmate keys add NAME"
        if sent:
            return "this API key is unknown, revoked or expired"
        return "an API key is needed, as the header Authorization: Bearer dm_…"

    def _take(self, key: Key) -> None:
        """Take one request from the key's bucket, which fills again all the time."""
        most = self._settings.requests_per_minute
        now = time.monotonic()
        left, then = self._buckets.get(key.id, (float(most), now))
        left = min(float(most), left + (now - then) * most / 60)
        if left < 1:
            self._buckets[key.id] = (left, now)
            wait = math.ceil((1 - left) * 60 / most)
            raise ApiError(429, f"more than {most} requests a minute with this key", "rate_limit_exceeded", wait)
        self._buckets[key.id] = (left - 1, now)


class Porter:
    """An ASGI application around the API: counts, numbers every request, and is the last to catch an error."""

    def __init__(self, app: ASGIApp, count: Callable[[str, int], None]) -> None:
        """Stand before `app`; `count` is told of every path and status."""
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and look at what comes back."""
        status = 0
        number = secrets.token_hex(8)

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                headers["x-request-id"] = number
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
            await send(message)

        if scope["type"] != "http":
            await Response(status_code=404)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, note)
        except Exception as error:  # noqa: BLE001  # the outermost loop; what it says may quote a question
            log_kind(error, number)
        finally:
            self._count(scope["path"], status)


def log_kind(error: Exception, number: str = "") -> None:
    """Log what kind of error it was and where, without what it says."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("request %s failed: %s\n%s", number, type(error).__name__, frames)


def refusal(error: ApiError) -> JSONResponse:
    """The response that an error makes."""
    headers = {"retry-after": str(error.retry_s)} if error.retry_s else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers)


async def unless_gone(request: Request, wanted: Coroutine[Any, Any, T]) -> T:
    """Wait for something, but no longer than the client does. Call after the body was read.

    Raises:
        GoneError: the client left; what was wanted has been cancelled.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, left = asyncio.create_task(wanted), asyncio.create_task(gone())
    try:
        await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise GoneError
        return work.result()
    finally:
        left.cancel()
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
