"""Single sign-on by OpenID Connect: the authorization code flow with PKCE, from one provider that settings name.

OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the answer). Nothing in an answer is believed before the
id token's signature, issuer, audience, time and nonce are checked. Knows no database, no sessions and no pages.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.accounts.accounts import Identity
from app.people import Role
from app.settings import OidcSettings
from ingest.errors import DeskmateError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by a key that only the provider has; never `none`, never one by the client's secret."""

KNOWN_S = 3600.0
"""Seconds for which the provider's addresses and keys are believed to be the same."""

AGAIN_S = 60.0
"""Shortest time between two looks for a key that was not there."""

LEEWAY_S = 60
"""Seconds by which two clocks may differ."""

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What a browser keeps from being sent to the provider until it comes back."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider says of itself."""

    at: float
    endpoints: Mapping[str, Any]
    keys: KeySet


class Provider:
    """The provider that settings name.

    Args:
        settings: with an issuer.
        transport: how it is reached; the network by default.
    """

    def __init__(self, settings: OidcSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._known: _Known | None = None

    async def begin(self, back: str) -> tuple[str, Flow]:
        """Where to send a browser, and what it keeps meanwhile.

        Args:
            back: our address that the provider sends it back to.

        Raises:
            DeskmateError: the provider cannot be reached or is not what settings say.
        """
        flow = Flow(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": back,
            "scope": self._settings.scopes,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        address = _secure(str((await self._ask()).endpoints["authorization_endpoint"]))
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}", flow

    async def finish(self, answer: Mapping[str, str], flow: Flow, back: str) -> Identity:
        """Whom a browser that comes back belongs to.

        Args:
            answer: what the provider put into the address.
            flow: what the browser kept.
            back: as in `begin`.

        Raises:
            DeskmateError: the provider says no, cannot be reached, or its answer cannot be trusted.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise DeskmateError("this is not the sign-in that was begun here; please begin again")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise _untrusted("another issuer")
        if "code" not in answer:
            raise DeskmateError("your company account did not let you in; ask whoever looks after it")
        reply = await self._tokens(answer["code"], flow.verifier, back)
        claims = await self._claims(str(reply.get("id_token", "")), flow.nonce)
        return self._identity(await self._with_userinfo(claims, str(reply.get("access_token", ""))))

    async def _tokens(self, code: str, verifier: str, back: str) -> Mapping[str, Any]:
        settings, endpoints = self._settings, (await self._ask()).endpoints
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        secret = settings.client_secret.get_secret_value()
        methods = endpoints.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth = None
        if secret and "client_secret_basic" in methods:
            auth = httpx.BasicAuth(settings.client_id, secret)
        else:
            form |= {"client_id": settings.client_id} | ({"client_secret": secret} if secret else {})
        return await self._fetch("POST", str(endpoints["token_endpoint"]), data=form, auth=auth)

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """The id token's claims, once everything about it is right."""
        known = await self._ask()
        try:
            decoded = jwt.decode(token, known.keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may have changed its keys since.
            again = await self._ask(newer_than=known.at)
            try:
                decoded = jwt.decode(token, again.keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError) as error:
                raise _untrusted("signature") from error
        wanted = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        claims = decoded.claims
        try:
            wanted.validate(claims)
        except JoseError as error:
            raise _untrusted(str(getattr(error, "claim", None) or "time")) from error
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise _untrusted("azp")
        return claims

    async def _with_userinfo(self, claims: Mapping[str, Any], access: str) -> Mapping[str, Any]:
        """The claims, with those that the provider gives only when asked."""
        address = (await self._ask()).endpoints.get("userinfo_endpoint")
        wanted = [name for name in (self._settings.name_claim, self._settings.groups_claim) if name]
        if not address or not access or all(_claim(claims, name) is not None for name in wanted):
            return claims
        more = await self._fetch("GET", str(address), headers={"authorization": f"Bearer {access}"})
        if more.get("sub") != claims["sub"]:
            raise _untrusted("another subject")
        return {**more, **claims}

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        name = _claim(claims, settings.name_claim)
        if not isinstance(name, str) or not name:
            raise DeskmateError(
                f"your company account has no {settings.name_claim!r}; an administrator can set oidc.name_claim"
            )
        shown = claims.get("name")
        subject = f"{settings.issuer} {claims['sub']}"
        shown = " ".join(str(shown if isinstance(shown, str) and shown.strip() else name).split())[:128]
        if not settings.groups_claim:
            return Identity(subject, name, shown, None, None)
        found = _claim(claims, settings.groups_claim) or []
        theirs = {str(group) for group in ([found] if isinstance(found, str) else found)}
        ours = {our for our, their in settings.groups.items() if their in theirs} if settings.groups else theirs
        role = None
        if settings.desk or settings.admin:
            role = Role.DESK if theirs & set(settings.desk) else Role.ASKER
            role = Role.ADMIN if theirs & set(settings.admin) else role
        return Identity(subject, name, shown, frozenset(ours), role)

    async def _ask(self, newer_than: float = 0.0) -> _Known:
        """What the provider says of itself, asked again when that is old, or older than what proved too old."""
        now = time.monotonic()
        known = self._known
        if known and now - known.at < KNOWN_S and (known.at > newer_than or now - known.at < AGAIN_S):
            return known
        issuer = self._settings.issuer
        endpoints = await self._fetch("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        missing = {"authorization_endpoint", "token_endpoint", "jwks_uri"} - set(endpoints)
        if endpoints.get("issuer") != issuer or missing:
            raise DeskmateError(f"the provider at {issuer} is not the issuer of that name; correct oidc.issuer")
        try:
            keys = KeySet.import_key_set({"keys": (await self._fetch("GET", str(endpoints["jwks_uri"])))["keys"]})
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise _away() from error
        self._known = _Known(time.monotonic(), endpoints, keys)
        return self._known

    async def _fetch(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        """The JSON object that an address of the provider answers with."""
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S) as client:
                reply = await client.request(method, _secure(address), headers=more.pop("headers", None), **more)
                reply.raise_for_status()
                found = reply.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _away() from error
        if not isinstance(found, dict):
            raise _away()
        return found


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the path to it, as in `realm_access.roles`; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _secure(address: str) -> str:
    """An address that nobody on the way can read; a provider on this machine needs no more."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")):
        raise DeskmateError("the provider of single sign-on has an address without https; correct oidc.issuer")
    return address


def _away() -> DeskmateError:
    return DeskmateError("the company's sign-in does not answer as it should; please try again in a minute")


def _untrusted(what: str) -> DeskmateError:
    return DeskmateError(f"the answer of the company's sign-in cannot be trusted ({what}); please try again")
