"""Requests that are broken, endless or of the wrong kind: they get a status and a sentence, never a failure of ours."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from eval.attacks.attack import Attack, structural
from eval.attacks.world import CRASHED, World

HALF = b'{"model":"deskmate","messages":[{"role":"user","content":"\\ud800"}]}'
CHAT, SEARCH = "/v1/chat/completions", "/v1/search"


def broken() -> Iterator[Attack]:
    """Each asks for a failure: what must not come back is that the server had one."""
    for name, (method, path, request) in REQUESTS.items():
        attempt = partial(World.http, method=method, path=path, **request)
        yield structural(f"input/{name.replace(' ', '-')}", attempt, canary=CRASHED)


def _asking(content: Any, **more: Any) -> dict[str, Any]:
    return {"json": {"model": "deskmate", "messages": [{"role": "user", "content": content}], **more}}


REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a megabyte": ("POST", CHAT, _asking("a " * 500_000)),
    "one word too long": ("POST", CHAT, _asking("a" * 8_001)),
    "one word repeated": ("POST", CHAT, _asking("password " * 880)),
    "one sign repeated": ("POST", CHAT, _asking("(" * 8_000)),
    "nothing": ("POST", CHAT, _asking("   \n\t ")),
    "zero bytes": ("POST", CHAT, _asking("What\x00 is\x00 this?")),
    "half a character": (
        "POST",
        CHAT,
        {"content": HALF},
    ),
    "every sign of a query": ("POST", SEARCH, {"json": {"query": '+-&|!(){}[]^"~*?:\\/ AND OR NOT TO'}}),
    "an open quote": ("POST", SEARCH, {"json": {"query": '"counter', "method": "bm25"}}),
    "a number of passages below nought": ("POST", SEARCH, {"json": {"query": "counter", "k": -1}}),
    "a number of passages without end": ("POST", SEARCH, {"json": {"query": "counter", "k": 10**18}}),
    "an unknown way to search": ("POST", SEARCH, {"json": {"query": "counter", "method": "sql"}}),
    "no JSON": ("POST", CHAT, {"content": b"{"}),
    "not UTF-8": ("POST", CHAT, {"content": b'{"model":"\xff"}'}),
    "a list": ("POST", CHAT, {"json": []}),
    "deep": ("POST", CHAT, {"content": b"[" * 100_000}),
    "a large number": ("POST", CHAT, {"content": b'{"model":"deskmate","n":' + b"9" * 5_000 + b"}"}),
    "a thousand and one messages": ("POST", CHAT, {"json": {"model": "x", "messages": [{"role": "user"}] * 1_001}}),
    "an unknown role": ("POST", CHAT, {"json": {"model": "deskmate", "messages": [{"role": "root", "content": "x"}]}}),
    "a picture": ("POST", CHAT, _asking([{"type": "image_url", "image_url": {"url": "https://evil.example"}}])),
    "a tool": ("POST", CHAT, _asking("x", tools=[{"type": "function", "function": {"name": "sh"}}])),
    "the wrong method": ("DELETE", CHAT, {}),
    "a long header": ("GET", "/v1/models", {"headers": {"Authorization": "Bearer " + "x" * 60_000}}),
    "a long name of a model": (
        "POST",
        CHAT,
        _asking("x", model="x" * 60_000),
    ),
}
