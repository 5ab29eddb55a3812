"""What stands between Gradio and the network: only the paths that the chat uses, only this site's own pages.

Gradio serves much more than a chat needs: uploads, files, a proxy, API pages, recordings. Nothing of it is reachable.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOWED = re.compile(
    r"/|/config|/theme\.css|/robots\.txt|/(?:assets|static)/[\w./-]+"
    r"|/gradio_api/(?:queue/(?:join|data)|heartbeat/\w+|component_server|startup-events|theme\.css|cancel|reset)/?"
)
"""The paths of Gradio that its page needs; everything else is not found."""

LONGEST_BODY = 2_000_000
"""Bytes of a request. A question of 100,000 characters fits, an upload does not."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Gradio's page has scripts inline and builds templates with `new Function`. Nothing may come from another host."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An ASGI application around Gradio's.

    Args:
        app: Gradio's.
        page: rewrites the HTML of the page.
    """

    def __init__(self, app: ASGIApp, page: Callable[[str], str]) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what the chat needs."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = _refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if _path(scope) == "/":
            await self._app(_uncompressed(scope), receive, self._rewriting(_with_headers(send)))
            return
        await self._app(scope, receive, _with_headers(send))

    def _rewriting(self, send: Send) -> Send:
        """A `send` that holds the page back until it is whole and rewrites it."""
        start: Message = {}
        body = b""

        async def rewrite(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            headers = MutableHeaders(raw=start["headers"])
            if headers.get("content-type", "").startswith("text/html"):
                body = self._page(body.decode()).encode()
                headers["content-length"] = str(len(body))
                headers["cache-control"] = "no-store"
            await send(start)
            await send({"type": "http.response.body", "body": body})

        return rewrite


def _refuse(scope: Scope) -> PlainTextResponse | None:
    """What to say to a request that is not the chat's; None for one that is."""
    if scope["type"] != "http" or not ALLOWED.fullmatch(_path(scope)) or ".." in scope["path"]:
        return PlainTextResponse("not found", 404)
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    # Gradio lets other sites' pages read its answers wherever the host is not "localhost". We let none.
    hosts = {headers.get("host"), headers.get("x-forwarded-host")}
    if origin is not None and urlsplit(origin).netloc not in hosts:
        return PlainTextResponse("another site's page may not ask here", 403)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LONGEST_BODY:
        return PlainTextResponse("the request is too large", 413)
    return None


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _uncompressed(scope: Scope) -> Scope:
    """The same request from a browser that knows no compression: the page is to be rewritten."""
    kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    return {**scope, "headers": kept, "query_string": b""}  # no query: Gradio's theme and deep links are not ours


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            headers.update(HEADERS)
        await send(message)

    return add
