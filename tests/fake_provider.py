"""A provider of OpenID Connect without a network: an ASGI application with its own key, which can be made to lie."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ISSUER = "https://id.example"
CLIENT, SECRET = "deskmate", "the client's secret"


@cache
def rsa_key(name: str) -> RSAKey:
    """A key of a test run."""
    return RSAKey.generate_key(2048, parameters={"kid": name})


class FakeProvider:
    """Lets `user` in. Whatever a test sets is what the provider does next."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {"sub": "1", "preferred_username": "anna", "name": "Anna Berg"}
        self.userinfo: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}  # in place of the right ones; None leaves one out
        self.key = rsa_key("one")
        self.published = [self.key]
        self.sign: Callable[[dict[str, Any]], str] = self._sign
        self.asked: list[str] = []
        self.transport = httpx.ASGITransport(self._app())
        self._codes: dict[str, dict[str, str]] = {}

    def authorize(self, address: str) -> str:
        """What the provider's page does once somebody has signed in there: the address to go back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["client_id"], asked["code_challenge_method"]) == (CLIENT, "S256")
        code = secrets.token_hex(8)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': ISSUER})}"

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/keys", self._keys),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
            ]
        )

    async def _configuration(self, request: Request) -> Response:
        self.asked.append("configuration")
        return JSONResponse(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
                "userinfo_endpoint": f"{ISSUER}/userinfo",
                **self.document,
            }
        )

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.published]})

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        basic = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
        if (
            asked is None
            or challenge.rstrip("=") != asked["code_challenge"]
            or request.headers.get("authorization") != basic
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.user}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return JSONResponse({"id_token": self.sign(claims), "access_token": "access", "token_type": "Bearer"})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer access"
        return JSONResponse(self.userinfo)

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
