"""The door at the front: puts a `Person` on every request before any page sees it, or sends it away.

Where there are accounts or single sign-on, only sessions come in. Where there are none, every browser is a guest with a
cookie of its own. Requests that another site's page makes, and bodies that are too large, end here. Knows no passwords.
"""

import hashlib
import ipaddress
import logging
import re
import secrets
from functools import partial
from http import HTTPStatus
from urllib.parse import quote

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.accounts.accounts import Accounts
from app.accounts.sessions import Sessions
from app.database import Database
from app.people import Person, Role
from app.settings import Settings
from app.web.harden import HEADERS
from app.who import set_person
from ingest.errors import DeskmateError

OPEN = re.compile(r"/sign-in(/.*)?|/healthz|/readyz|/metrics|/v1(/.*)?|/desk/.*|/favicon\.ico|/robots\.txt")
"""What answers without a session: the way in, health and figures, the API with its keys, our few static files."""

FOREIGN = re.compile(r"/v1(/.*)?")
"""What programs from anywhere may write to: it goes by keys, which no browser sends by itself."""

OWN_LIMIT = re.compile(r"/v1(/.*)?|/staff/documents(/.*)?")
"""What measures its requests itself."""

LONGEST_BODY = 2_000_000
"""Bytes of any other request. A question of 100,000 characters fits, an upload does not."""

LOOK_UPS = 8
"""Requests that are looked up in the database at the same time."""

GUEST_S = 400 * 24 * 3600
"""Seconds that a guest's browser is known; browsers keep no cookie for longer."""

SESSION, GUEST = "deskmate", "deskmate_guest"
"""Names of the cookies."""

NOBODY = Person("guest-", "Guest")
"""Who asks where it does not matter."""

_GUEST = re.compile(r"[0-9a-f]{32}")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")

log = logging.getLogger("deskmate.sign_in")


class SignIn:
    """An ASGI application around all the others."""

    def __init__(self, app: ASGIApp, database: Database, settings: Settings) -> None:
        self._app = app
        self._accounts = Accounts(database)
        self._sessions = Sessions(database, settings.sign_in)
        self._single_sign_on = bool(settings.oidc.issuer)
        self._look_ups = anyio.CapacityLimiter(LOOK_UPS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its person, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks it
            return
        refused = _refuse(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        if not OWN_LIMIT.fullmatch(scope["path"]):
            receive = _limited(receive)
        if OPEN.fullmatch(scope["path"]):
            set_person(scope, NOBODY)
            await self._app(scope, receive, send)
            return
        await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        try:
            token = request.cookies.get(cookie_name(request, SESSION), "")
            person = await anyio.to_thread.run_sync(partial(self._find, token), limiter=self._look_ups)
        except DeskmateError as error:
            log.error("nobody can be let in: %s", error)
            sorry = "We cannot tell who you are at the moment, because our database does not answer. Please try again."
            await PlainTextResponse(sorry, 503, HEADERS | {"retry-after": "5"})(scope, receive, send)
            return
        if person is None:
            await _ask_to_sign_in(request)(scope, receive, send)
            return
        if person is NOBODY:
            person, send = _guest(request, send)
        set_person(scope, person)
        await self._app(scope, receive, send)

    def _find(self, token: str) -> Person | None:
        """Who has signed in; `NOBODY` where nobody can, None for who must."""
        person = self._sessions.find(token) if token else None
        if person is None and not (self._single_sign_on or self._accounts.any()):
            return NOBODY
        return person


def cookie_name(request: HTTPConnection, name: str) -> str:
    """A cookie's name: where there is https, one that no other host and no plain page can set."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def set_cookie(response: Response, request: HTTPConnection, name: str, value: str, seconds: int | None = None) -> None:
    """Give a browser a cookie that no script can read; `seconds` None keeps it until the browser is closed."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=seconds,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def local_path(wanted: str) -> str:
    """Where to go after signing in: a path of this site, whatever an address says."""
    # A browser takes // and /\ for the beginning of a host, and drops control characters before it looks.
    local = re.match(r"/(?!/|sign-(in|out)\b)", wanted) and wanted.isprintable() and "\\" not in wanted
    return wanted if local and len(wanted) <= 2000 else "/"


def _ask_to_sign_in(request: HTTPConnection) -> Response:
    """A page's reader goes to sign in and comes back; a script is told."""
    headers = request.headers
    if (
        request.scope["method"] in ("GET", "HEAD")
        and "text/html" in headers.get("accept", "")
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
    ):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        address = "/sign-in" if wanted == "/" else f"/sign-in?next={quote(local_path(wanted), safe='/')}"
        return RedirectResponse(address, 303, HEADERS | {"cache-control": "no-store"})
    return JSONResponse({"detail": "sign in again"}, HTTPStatus.UNAUTHORIZED, HEADERS | {"cache-control": "no-store"})


def _guest(request: HTTPConnection, send: Send) -> tuple[Person, Send]:
    """The guest that a browser is, and a `send` that keeps it the same one the next time."""
    known = request.cookies.get(cookie_name(request, GUEST), "")
    cookie = known if _GUEST.fullmatch(known) else secrets.token_hex(16)
    # Only a hash of the cookie is ever kept: who reads the database cannot be that browser.
    name = f"guest-{hashlib.sha256(cookie.encode()).hexdigest()[:32]}"
    person = Person(name, "Guest", role=Role.ADMIN if _on_this_machine(request) else Role.ASKER)
    carrier = Response()
    set_cookie(carrier, request, GUEST, cookie, GUEST_S)

    async def with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start" and (cookie != known or request.url.path == "/"):
            MutableHeaders(raw=message["headers"]).append("set-cookie", carrier.headers["set-cookie"])
        await send(message)

    return person, with_cookie


def _on_this_machine(request: HTTPConnection) -> bool:
    """Whether a browser on this very machine asks, by an address that only it has, and nobody passed it on."""
    # No browser speaks HTTP/1.0, but a proxy that was not told better does.
    passed_on = request.scope["http_version"] == "1.0" or any(name in request.headers for name in _FORWARDED)
    if request.client is None or passed_on:
        return False
    return _is_loopback(request.client.host) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse(scope: Scope) -> Response | None:
    """What to say to a request that should not have been made; None for one that is all right."""
    headers = Headers(scope=scope)
    if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not FOREIGN.fullmatch(scope["path"]) and _foreign(headers):
        return PlainTextResponse("another site's page may not ask here", 403, HEADERS)
    length = headers.get("content-length", "0")
    if not OWN_LIMIT.fullmatch(scope["path"]) and (not length.isdigit() or int(length) > LONGEST_BODY):
        return PlainTextResponse("the request is too large", 413, HEADERS)
    return None


def _foreign(headers: Headers) -> bool:
    """Whether another site's page made the request. Browsers say so; what is no browser has no cookies to abuse."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    hosts = {headers.get("host"), headers.get("x-forwarded-host")}  # no page can set the second for another site
    return origin is not None and origin.partition("://")[2] not in hosts


def _limited(receive: Receive) -> Receive:
    """A `receive` that gives up on a body that is longer than it said, or says nothing."""
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > LONGEST_BODY:
            raise HTTPException(413, "the request is too large")
        return message

    return counted
