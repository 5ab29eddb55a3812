"""What stands between Gradio and the network: only the paths that the chat uses.

Gradio serves much more than a chat needs: uploads, files, a proxy, API pages, recordings. Nothing of it is reachable,
no other site may read its answers, and nobody listens to another's. Who asks, from which page, and how much they send,
`app.accounts.door` has seen to before.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.who import person_of

ALLOWED = re.compile(
    r"/|/config|/theme\.css|/robots\.txt|/(?:assets|static)/[\w./-]+"
    r"|/gradio_api/(?:queue/(?:join|data)|heartbeat/\w+|startup-events|theme\.css|cancel|reset)/?"
)
"""The paths of Gradio that its page needs; everything else is not found."""

POLICY = (
    "default-src 'self'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Gradio's page has scripts inline and builds templates with `new Function`. Nothing may come from another host."""

TABS = 10_000
"""Browser tabs whose owners are remembered; the one that was quiet for longest goes first."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with `no-referrer`, a browser hides the origin of our own forms from us
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
        self._tabs: dict[str, str] = {}  # Person.id by Gradio's name for a tab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what the chat needs."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if not _needed(scope) or not self._own(scope):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        if _path(scope) == "/":
            await self._app(_uncompressed(scope), receive, self._rewriting(_with_headers(send)))
            return
        await self._app(scope, receive, _with_headers(send))

    def _own(self, scope: Scope) -> bool:
        """Whether a request listens to a tab of its own person. Gradio lets in whoever knows the tab's name."""
        found = re.search(r"/heartbeat/(\w+)", scope["path"])
        tab = found[1] if found else (parse_qs(scope["query_string"].decode("latin-1")).get("session_hash") or [""])[0]
        if not tab:
            return True
        person = person_of(HTTPConnection(scope)).id
        owner = self._tabs.pop(tab, person)
        self._tabs[tab] = owner
        if len(self._tabs) > TABS:
            del self._tabs[next(iter(self._tabs))]
        return owner == person

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


def _needed(scope: Scope) -> bool:
    """Whether the chat's page needs what is asked for."""
    return scope["type"] == "http" and bool(ALLOWED.fullmatch(_path(scope))) and ".." not in scope["path"]


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
