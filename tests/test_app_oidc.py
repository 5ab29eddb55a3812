"""Single sign-on: what a company's provider says is believed only when all of it is right."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from door_kit import HERE, add, browser, fresh_database, front_door, quick_hasher, sign_in
from fake_provider import CLIENT, ISSUER, SECRET, FakeProvider, rsa_key
from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey

from app.accounts.accounts import Accounts
from app.database import Database
from app.settings import load_settings
from ingest.errors import DeskmateError

OIDC = {"issuer": ISSUER, "client_id": CLIENT, "client_secret": SECRET}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_hasher(monkeypatch)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    yield from fresh_database(tmp_path)


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


def door(database: Database, home: Path, provider: FakeProvider, **oidc: Any) -> FastAPI:
    return front_door(database, home, provider.transport, oidc=OIDC | oidc)


def come(client: TestClient, provider: FakeProvider, wanted: str = "/page") -> httpx.Response:
    """Go to the provider and come back."""
    away = client.get(f"/sign-in/company?next={wanted}")
    assert away.status_code == 303, away.text
    assert away.headers["location"].startswith(f"{ISSUER}/authorize?")
    return client.get(provider.authorize(away.headers["location"]))


def test_whoever_the_provider_lets_in_has_an_account_and_a_session(
    database: Database, tmp_path: Path, provider: FakeProvider
) -> None:
    client = browser(door(database, tmp_path, provider))
    assert client.get("/page").status_code == 401  # nobody is a guest where there is single sign-on
    assert 'href="/sign-in/company?next=/page"' in client.get("/sign-in?next=/page").text
    reply = come(client, provider)
    assert (reply.status_code, reply.headers["location"]) == (303, "/page")
    assert client.get("/page").json() == {"id": "user-1", "name": "Anna Berg", "groups": [], "role": "asker"}
    come(client, provider)
    assert client.get("/page").json()["id"] == "user-1"
    assert provider.asked == ["configuration", "keys"]  # both are remembered


def test_groups_and_roles_are_those_of_the_provider_each_time(
    database: Database, tmp_path: Path, provider: FakeProvider
) -> None:
    more = {"groups_claim": "realm.groups", "groups": {"hr": "/staff/hr"}, "desk": ["/desk"], "admin": ["/it"]}
    client = browser(door(database, tmp_path, provider, **more))
    for groups, role, found in (
        (["/staff/hr", "/other", "/desk"], "desk", ["hr"]),
        (["/it", "/desk"], "admin", []),
        (["/staff/hr"], "asker", ["hr"]),
        (None, "asker", []),
    ):
        provider.user["realm"] = {"groups": groups} if groups is not None else {}
        provider.userinfo = {"sub": "1"}
        come(client, provider)
        person = client.get("/page").json()
        assert (person["groups"], person["role"]) == (found, role)


def test_claims_that_only_the_userinfo_has_are_asked_for(
    database: Database, tmp_path: Path, provider: FakeProvider
) -> None:
    client = browser(door(database, tmp_path, provider, groups_claim="groups"))
    provider.userinfo = {"sub": "1", "groups": ["hr"], "name": "Somebody else"}
    come(client, provider)
    assert client.get("/page").json() | {"id": ""} == {"id": "", "name": "Anna Berg", "groups": ["hr"], "role": "asker"}
    provider.userinfo = {"sub": "2", "groups": ["admins"]}
    assert come(browser(door(database, tmp_path, provider, groups_claim="groups")), provider).status_code == 403


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def by_foreign_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, rsa_key("foreign"))


def by_client_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET * 3))


def by_public_key_as_secret(claims: dict[str, Any]) -> str:
    head, body, _ = jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET * 3)).split(".")
    mac = hmac.digest(rsa_key("one").as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def changed_afterwards(claims: dict[str, Any]) -> str:
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "one"}, claims, rsa_key("one")).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "admin"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


@pytest.mark.parametrize(
    "sign",
    [unsigned, by_foreign_key, by_client_secret, by_public_key_as_secret, changed_afterwards, lambda claims: "x"],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_that_the_provider_did_not_sign_is_refused(
    database: Database, tmp_path: Path, provider: FakeProvider, sign: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = sign
    refused(database, tmp_path, provider, "cannot be trusted (signature)")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another-client"}, {"aud": None}, {"aud": ["a", "b"]},
        {"iss": "https://evil.example"}, {"iss": None}, {"exp": int(time.time()) - 3600}, {"exp": None},
        {"iat": int(time.time()) + 3600}, {"nbf": int(time.time()) + 3600}, {"sub": None},
        {"azp": "another-client"}, {"preferred_username": None}, {"preferred_username": "a/../b"},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    database: Database, tmp_path: Path, provider: FakeProvider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    provider.userinfo = {"sub": "1"}
    reason = "preferred_username" if "preferred_username" in claims else "cannot be trusted"
    refused(database, tmp_path, provider, "is no name" if claims.get("preferred_username") else reason)


def refused(database: Database, home: Path, provider: FakeProvider, reason: str) -> None:
    client = browser(door(database, home, provider))
    reply = come(client, provider)
    assert reply.status_code == 403
    assert reason in reply.text
    assert "deskmate=" not in reply.headers.get("set-cookie", "")
    assert client.get("/page").status_code == 401
    assert Accounts(database).all() == ()


def test_only_the_browser_that_began_comes_in(database: Database, tmp_path: Path, provider: FakeProvider) -> None:
    app = door(database, tmp_path, provider)
    client, other = browser(app), browser(app)
    back = provider.authorize(client.get("/sign-in/company").headers["location"])
    assert other.get(back).status_code == 403  # nothing was begun there
    other.get("/sign-in/company")
    assert other.get(back).status_code == 403  # another state
    forged = browser(app)
    reply = forged.get(back, headers={"cookie": f"deskmate_flow={base64.urlsafe_b64encode(b'[1]').decode()}"})
    assert reply.status_code == 403
    assert client.get(back).status_code == 303
    assert client.get(back).status_code == 403  # once
    assert client.get("/sign-in/company/done?error=access_denied").status_code == 403


def test_another_provider_cannot_answer_for_ours(database: Database, tmp_path: Path, provider: FakeProvider) -> None:
    client = browser(door(database, tmp_path, provider))
    back = provider.authorize(client.get("/sign-in/company").headers["location"])
    assert client.get(back.replace("id.example", "evil.example")).status_code == 403


def test_a_provider_that_changes_its_key_is_asked_again(
    database: Database, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(door(database, tmp_path, provider))
    come(client, provider)
    provider.key = rsa_key("two")
    provider.published = [rsa_key("one"), provider.key]
    assert come(client, provider).status_code == 403  # but not for every wrong key at once
    later = time.monotonic() + 120
    monkeypatch.setattr("app.accounts.oidc.time.monotonic", lambda: later)
    assert come(client, provider).status_code == 303


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"}, {"authorization_endpoint": "http://id.example/authorize"},
        {"jwks_uri": "https://id.example/nothing"}, {"jwks_uri": "http://id.example/keys"},
        {"jwks_uri": f"{ISSUER}/.well-known/openid-configuration"},
    ],
)  # fmt: skip
def test_a_provider_that_is_not_what_it_should_be_is_a_plain_sentence(
    database: Database, tmp_path: Path, provider: FakeProvider, document: dict[str, Any]
) -> None:
    provider.document = document
    reply = browser(door(database, tmp_path, provider)).get("/sign-in/company")
    assert reply.status_code == 403
    assert "This did not work" in reply.text


def test_it_goes_back_only_to_this_site(database: Database, tmp_path: Path, provider: FakeProvider) -> None:
    client = browser(door(database, tmp_path, provider))
    assert come(client, provider, "//evil.example").headers["location"] == "/"
    address = client.get("/sign-in/company").headers["location"]
    assert f"redirect_uri={HERE.replace(':', '%3A').replace('/', '%2F')}%2Fsign-in%2Fcompany%2Fdone" in address


def test_passwords_can_be_left_out(database: Database, tmp_path: Path, provider: FakeProvider) -> None:
    add(database)
    client = browser(door(database, tmp_path, provider, only=True))
    assert "password" not in client.get("/sign-in").text.lower()
    assert sign_in(client).status_code == 403


def test_without_single_sign_on_there_is_no_such_page(database: Database, tmp_path: Path) -> None:
    assert browser(front_door(database, tmp_path)).get("/sign-in/company").status_code == 404


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"issuer": ISSUER}, "client_id is needed"),
        ({"issuer": ISSUER, "client_id": "x", "desk": ["a"]}, "groups_claim is needed"),
        ({"only": True}, "an issuer is needed"),
        ({"issuer": "http://id.example", "client_id": "x"}, "https"),
    ],
)
def test_settings_that_cannot_work_are_said_at_once(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DeskmateError, match=message):
        load_settings(oidc=values)
