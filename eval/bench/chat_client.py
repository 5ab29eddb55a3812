"""A browser of a few lines: asks in the chat as its page does, over Gradio's queue, and says what it was told."""

import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx

_CONVERSATION = re.compile(r'\["conversation"\],"([0-9a-f]{32})"|"conversation":"([0-9a-f]{32})"')
_EXCHANGE = re.compile(r'data-exchange=\\"(\d+)\\"')
_HINT = re.compile(r'\["hint"\],"([^"]+)"|"hint":"([^"]+)"')


class CutOffError(Exception):
    """The server went away, or did not want the request, before it said that something is done."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the page was told: where the exchange is kept, by which number, or why it was not taken."""

    conversation: str
    exchange: int
    hint: str = ""


class Browser:
    """One guest with one open page. Used as a `with` block."""

    def __init__(self, address: str, timeout: float = 30.0) -> None:
        """Open the page.

        Args:
            address: such as `http://127.0.0.1:7860`.
            timeout: longest silence in seconds.

        Raises:
            CutOffError: nobody answers.
        """
        self._client = httpx.Client(base_url=address, timeout=timeout)
        self._tab = secrets.token_hex(6)
        config = self._sent("GET", "/config").json()
        asking = (one for one in config["dependencies"] if any(event == "submit" for _, event in one["targets"]))
        self._ask = next(asking)

    @property
    def cookies(self) -> httpx.Cookies:
        """Whose browser it is."""
        return self._client.cookies

    @cookies.setter
    def cookies(self, cookies: httpx.Cookies) -> None:
        self._client.cookies = cookies

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the page."""
        self._client.close()

    def ask(self, question: str, conversation: str = "", begun: threading.Event | None = None) -> Told:
        """Ask, and wait until the page is told that the answer is finished.

        Args:
            question: as typed.
            conversation: the one that the page shows; empty for a new one.
            begun: is set when the page was told that the question was taken.

        Raises:
            CutOffError: it never was.
        """
        body = {
            "data": ["rag-only", None],
            "event_data": {"question": question, "conversation": conversation},
            "fn_index": self._ask["id"],
            "trigger_id": self._ask["targets"][0][0],
            "session_hash": self._tab,
        }
        self._sent("POST", "/gradio_api/queue/join", json=body)
        told = {"conversation": "", "exchange": "0", "hint": ""}
        for line in self._heard():
            if begun and '"msg":"process_generating"' in line:
                begun.set()
            for name, pattern in (("conversation", _CONVERSATION), ("exchange", _EXCHANGE), ("hint", _HINT)):
                if found := pattern.search(line):
                    told[name] = next(part for part in found.groups() if part)
            if '"msg":"process_completed"' in line:
                break
        return Told(told["conversation"], int(told["exchange"]), json.loads(f'"{told["hint"]}"'))

    def judge(self, exchange: int, verdict: str, reason: str = "") -> None:
        """Press a thumb; CutOffError unless it was taken."""
        self._sent("POST", f"/chats/judge/{exchange}", json={"verdict": verdict, "reason": reason})

    def hand_over(self, conversation: str, note: str) -> None:
        """Ask for a person; CutOffError unless it was taken."""
        self._sent("POST", "/chats/talk", json={"conversation": conversation, "note": note})

    def export(self, conversation: str) -> dict[str, Any]:
        """A conversation as its asker may take it away."""
        kept: dict[str, Any] = self._sent("GET", f"/chats/{conversation}/export.json").json()
        return kept

    def _heard(self) -> Iterator[str]:
        try:
            with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._tab}) as stream:
                yield from stream.iter_lines()
        except httpx.HTTPError as error:
            raise CutOffError from error

    def _sent(self, method: str, path: str, json: object = None) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=json)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise CutOffError(str(error)) from error
        return response
