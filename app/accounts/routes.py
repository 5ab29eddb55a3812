"""The addresses `/sign-in…` and `/sign-out`: from a form, or from the company's sign-in, to a session.

How fast passwords may be tried is `app.accounts.pace`'s matter, what is right `app.accounts.accounts`' and
`app.accounts.oidc`'s.
"""

import base64
import ipaddress
import json
import logging
import math
from asyncio import sleep
from functools import partial

import anyio
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.accounts import audit
from app.accounts.accounts import Accounts, User
from app.accounts.door import SESSION, SignIn, cookie_name, local_path, set_cookie
from app.accounts.oidc import Flow, Provider
from app.accounts.pace import LONGEST_WAIT_S, PER_ADDRESS, PER_NAME, Pace
from app.accounts.page import Ways, failed_page, sentence, sign_in_page
from app.accounts.sessions import Sessions
from app.database import Database
from app.settings import Settings
from app.web.forms import read_form
from app.web.harden import HEADERS
from ingest.errors import DeskmateError

LONGEST_FORM = 8_000
"""Bytes of the form: a name, a password and a path."""

CHECKS = 2
"""Passwords that are checked at the same time: each takes 64 MiB and all the processor it gets."""

FLOW = "deskmate_flow"
FLOW_S = 600
"""Seconds that somebody may take at the company's sign-in."""

WRONG = "This name and password do not go together."

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
POLICY += "base-uri 'none'; frame-ancestors 'none'"
"""Stricter than the chat's: nothing inline runs here."""

log = logging.getLogger("deskmate.sign_in")


class _SignInPages:
    """What answers at these addresses."""

    def __init__(self, database: Database, settings: Settings, provider: Provider | None) -> None:
        self._database = database
        self._kept_s = int(settings.sign_in.longest_hours * 3600)
        self._title = settings.chat.title
        self._accounts = Accounts(database)
        self._sessions = Sessions(database, settings.sign_in)
        self._provider = provider
        self._ways = Ways(not settings.oidc.only, settings.oidc.label if provider else "")
        self._names, self._addresses = Pace(PER_NAME), Pace(PER_ADDRESS)
        self._checks = anyio.CapacityLimiter(CHECKS)

    def show(self, request: Request) -> Response:
        """The page; whoever is in already, or needs not sign in, goes on."""
        wanted = local_path(request.query_params.get("next", "/"))
        token = request.cookies.get(cookie_name(request, SESSION), "")
        if (token and self._sessions.find(token)) or not (self._provider or self._accounts.any()):
            return RedirectResponse(wanted, 303)
        said = "You are signed out." if "out" in request.query_params else ""
        return self._page(wanted, said=said)

    async def enter(self, request: Request) -> Response:
        """Take a name and a password."""
        fields = dict(await read_form(request, LONGEST_FORM, "the form is too long"))
        wanted = local_path(fields.get("next", "/"))
        name = fields.get("name", "").strip()[:64]
        if not self._ways.passwords:
            return self._page(wanted, name, "Please use your company account.", 403)
        keys = ((self._names, name.lower()), (self._addresses, _address(request)))
        wait = max(pace.wait(key) for pace, key in keys)
        if wait > LONGEST_WAIT_S:
            problem = f"Too many attempts. Please try again in {math.ceil(wait)} seconds."
            reply = self._page(wanted, name, problem, 429)
            reply.headers["retry-after"] = str(math.ceil(wait))
            return reply
        for pace, key in keys:
            pace.take(key)
        await sleep(wait)
        old = request.cookies.get(cookie_name(request, SESSION), "")
        check = partial(self._check, name, fields.get("password", ""), old)
        token = await anyio.to_thread.run_sync(check, limiter=self._checks)
        if token is None:
            log.warning("a password from %s was wrong", _address(request))
            return self._page(wanted, name, WRONG, 401)
        self._names.forgive(name.lower(), attempts=PER_NAME.free)
        self._addresses.forgive(_address(request))
        return self._into(request, wanted, token)

    def leave(self, request: Request) -> Response:
        """Sign out."""
        token = request.cookies.get(cookie_name(request, SESSION), "")
        person = self._sessions.find(token) if token else None
        if person is not None:
            with self._database.writing() as connection:
                self._sessions.end(connection, token)
                audit.note(connection, person.id, "sign-out", {})
        reply = RedirectResponse("/sign-in?out=1", 303, HEADERS | {"cache-control": "no-store"})
        set_cookie(reply, request, SESSION, "", 0)
        return reply

    async def to_company(self, request: Request) -> Response:
        """Send the browser to the company's sign-in."""
        try:
            address, flow = await self._company().begin(_back(request))
        except DeskmateError as error:
            return self._failed(error)
        kept = {"flow": [flow.state, flow.nonce, flow.verifier], "next": request.query_params.get("next", "/")[:1000]}
        reply = RedirectResponse(address, 303, HEADERS | {"cache-control": "no-store"})
        set_cookie(reply, request, FLOW, base64.urlsafe_b64encode(json.dumps(kept).encode()).decode(), FLOW_S)
        return reply

    async def from_company(self, request: Request) -> Response:
        """Take back a browser from the company's sign-in."""
        try:
            flow, wanted = _kept(request.cookies.get(cookie_name(request, FLOW), ""))
            identity = await self._company().finish(request.query_params, flow, _back(request))
            old = request.cookies.get(cookie_name(request, SESSION), "")
            token = await anyio.to_thread.run_sync(
                lambda: self._begin(self._accounts.from_company(identity), "company", old), limiter=self._checks
            )
        except DeskmateError as error:
            return self._failed(error)
        reply = self._into(request, wanted, token)
        set_cookie(reply, request, FLOW, "", 0)
        return reply

    def _company(self) -> Provider:
        if self._provider is None:
            raise HTTPException(404, "there is no single sign-on here; sign in with a name and a password")
        return self._provider

    def _check(self, name: str, password: str, old: str) -> str | None:
        user = self._accounts.check(name, password)
        if user is not None:
            return self._begin(user, "password", old)
        with self._database.writing() as connection:  # whether or not there is such a name: the time tells nothing
            audit.note(connection, "nobody", "sign-in.refused", {})
        return None

    def _begin(self, user: User, way: str, old: str) -> str:
        """A new session in place of whatever the browser had."""
        with self._database.writing() as connection:
            if old:
                self._sessions.end(connection, old)
            token = self._sessions.begin(connection, user.id)
            audit.note(connection, user.person.id, "sign-in", {"way": way})
        return token

    def _into(self, request: Request, wanted: str, token: str) -> Response:
        reply = RedirectResponse(wanted, 303, HEADERS | {"cache-control": "no-store"})
        set_cookie(reply, request, SESSION, token, self._kept_s)
        return reply

    def _page(self, wanted: str, name: str = "", problem: str = "", status: int = 200, said: str = "") -> HTMLResponse:
        return _show(sign_in_page(self._title, self._ways, wanted, name, problem, said), status)

    def _failed(self, error: DeskmateError) -> HTMLResponse:
        log.warning("a single sign-on failed: %s", error)
        return _show(failed_page(self._title, sentence(str(error))), 403)


def mount_sign_in(
    app: FastAPI, database: Database, settings: Settings, transport: httpx.AsyncBaseTransport | None = None
) -> None:
    """Put the way in, and the door before everything, into an application.

    Args:
        app: the whole one.
        database: with the accounts.
        settings: how people sign in.
        transport: how the provider of single sign-on is reached; the network by default.
    """
    provider = Provider(settings.oidc, transport) if settings.oidc.issuer else None
    pages = _SignInPages(database, settings, provider)
    app.add_route("/sign-in", pages.show, methods=["GET"])
    app.add_route("/sign-in", pages.enter, methods=["POST"])
    app.add_route("/sign-in/company", pages.to_company, methods=["GET"])
    app.add_route("/sign-in/company/done", pages.from_company, methods=["GET"])
    app.add_route("/sign-out", pages.leave, methods=["POST"])
    app.add_middleware(SignIn, database=database, settings=settings)

    @app.exception_handler(DeskmateError)
    def failed(request: Request, error: DeskmateError) -> HTMLResponse:
        log.error("a request failed: %s", error)  # it may name hosts and files, which are nobody's business
        sorry = "Something on our side does not answer at the moment. It was logged; please try again in a minute."
        return _show(failed_page(settings.chat.title, sorry), 503)


def _show(text: str, status: int) -> HTMLResponse:
    return HTMLResponse(text, status, HEADERS | {"content-security-policy": POLICY, "cache-control": "no-store"})


def _back(request: Request) -> str:
    """Our address that the company's sign-in sends a browser back to."""
    return str(request.url.replace(path="/sign-in/company/done", query="", fragment=""))


def _kept(cookie: str) -> tuple[Flow, str]:
    """What a browser kept while it was at the company's sign-in.

    Raises:
        DeskmateError: nothing, or nothing of ours.
    """
    try:
        kept = json.loads(base64.urlsafe_b64decode(cookie))
        state, nonce, verifier = (str(part) for part in kept["flow"])
        return Flow(state, nonce, verifier), local_path(str(kept["next"]))
    except (ValueError, KeyError, TypeError):
        raise DeskmateError("this sign-in took too long, or was begun in another browser; please begin again") from None


def _address(request: Request) -> str:
    """Who tries, as a network sees it: one household has many addresses of IPv6, but one /64."""
    host = request.client.host if request.client else ""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else host
