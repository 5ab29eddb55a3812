"""A chat model behind any OpenAI-compatible server (vLLM, llama.cpp, Ollama, OpenAI): chat completions over SSE.

Knows HTTP and the wire format; knows nothing of prompts. The API key is sent in one header and appears nowhere else.
Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from app.llm import Delta, Message
from ingest.errors import DeskmateError

RETRY_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
BACKOFF_S = (0.5, 1.0, 2.0)
"""Seconds between attempts; a server's Retry-After goes before, up to `LONGEST_WAIT_S`."""

LONGEST_WAIT_S = 20.0
CONNECT_S = 5.0
CHARACTERS_PER_TOKEN = 4
"""For servers that report no usage: English text has about four characters a token."""


class OpenAIModel:
    """A model on an OpenAI-compatible server. `load` asks which models it has; any thread may stream."""

    def __init__(
        self,
        server: str,
        model: str,
        api_key: SecretStr,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        """Describe the server without connecting to it.

        Args:
            server: base address with its version, such as `http://127.0.0.1:8000/v1`.
            model: the server's name for the model; its first one when empty.
            api_key: sent as a bearer token; empty for none.
            timeout: the server's longest silence in seconds, before the first token or between two.
            transport: another way to the server, for tests.
            backoff_s: seconds to wait before each further attempt; none means one attempt.

        Raises:
            DeskmateError: when `server` is no HTTP address.
        """
        self._model = model
        self._key = api_key
        self._seconds = timeout
        self._backoff = tuple(backoff_s)
        self._server = server.rstrip("/")
        if not re.match(r"https?://[^/\s]+", server):
            raise DeskmateError(f"chat.server is {server!r}, which is no address like http://127.0.0.1:8000/v1")
        key = api_key.get_secret_value()
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_S, timeout)),
            transport=transport,
        )

    @property
    def name(self) -> str:
        """The server's name for the model; empty until `load` where the server chooses."""
        return self._model

    def load(self) -> None:
        """Check that the server answers and has the model.

        Raises:
            DeskmateError: when it does not, with what to do.
        """
        available = self._models()
        if not self._model:
            if not available:
                raise DeskmateError(f"{self._server} lists no model; set chat.server_model to the one that it serves")
            self._model = available[0]
        elif available and self._model not in available:
            raise self._unknown_model(available)

    def stream(
        self, messages: Sequence[Message], max_tokens: int, cancel: threading.Event | None = None
    ) -> Iterator[Delta]:
        """Yield the answer as the server sends it. Cancelling or closing the iterator closes the connection.

        Token counts are the server's in the last delta, estimates before; of a server that reports none, estimates.
        A cancellation is noticed when something arrives, which the timeout bounds.

        Raises:
            DeskmateError: when the server refuses, is lost half-way or sends what is no such stream.
        """
        if not self._model:
            self.load()
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        prompt_tokens = sum(len(message["content"]) for message in messages) // CHARACTERS_PER_TOKEN + 1
        state = _Progress(prompt_tokens)
        with self._open(body, cancel) as response:
            if response is None:
                return
            for event in self._events(response, state):
                if cancel and cancel.is_set():
                    return
                text = state.take(event)
                if text:
                    yield Delta(text, state.prompt_tokens, state.completion_tokens)
        if not state.finished:
            raise DeskmateError(f"{self._server} ended the answer after {state.completion_tokens} tokens; ask again")
        yield Delta("", state.prompt_tokens, state.completion_tokens)

    @contextmanager
    def _open(self, body: dict[str, Any], cancel: threading.Event | None) -> Iterator[httpx.Response | None]:
        """A response that streams, after as many attempts as it takes; None when cancelled while waiting."""
        attempt = 0
        while True:
            if cancel and cancel.is_set():
                yield None
                return
            request = self._client.build_request("POST", f"{self._server}/chat/completions", json=body)
            try:
                response = self._client.send(request, stream=True)
            except httpx.RequestError as error:
                if attempt >= len(self._backoff) or isinstance(error, httpx.ReadTimeout):
                    raise self._unreachable(error) from error
                wait = self._backoff[attempt]
            else:
                try:
                    if response.status_code == httpx.codes.OK:
                        yield response
                        return
                    response.read()
                    if response.status_code == httpx.codes.BAD_REQUEST and _adapt(body, response.text):
                        continue
                    if response.status_code not in RETRY_STATUS or attempt >= len(self._backoff):
                        raise self._refused(response)
                    wait = _retry_after(response, self._backoff[attempt])
                except httpx.RequestError as error:
                    raise self._lost(error) from error
                finally:
                    response.close()
            attempt += 1
            (cancel or threading.Event()).wait(wait)

    def _events(self, response: httpx.Response, state: "_Progress") -> Iterator[dict[str, Any]]:
        """The JSON objects of a stream of server-sent events, up to `[DONE]`."""
        for line in response.iter_lines():
            if not line.startswith("data:"):  # blank lines, comments that keep the connection alive, event names
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                state.finished = True
                return
            try:
                event = json.loads(data)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                raise DeskmateError(
                    f"{self._server} sent what is no chat stream ({data[:80]!r}); is it an OpenAI-compatible server?"
                )
            if event.get("error"):
                raise DeskmateError(f"{self._server} failed while answering: {self._clean(_error_text(event))}")
            yield event

    def _models(self) -> list[str]:
        """Names of the models that the server lists; none when it has no such list."""
        deadline = time.monotonic() + self._seconds
        for wait in (*self._backoff, None):
            try:
                response = self._client.get(f"{self._server}/models")
            except httpx.RequestError as error:
                if wait is None or time.monotonic() + wait > deadline:
                    raise self._unreachable(error) from error
            else:
                if response.status_code not in RETRY_STATUS or wait is None:
                    break
            time.sleep(wait)
        if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
            return []
        if response.status_code != httpx.codes.OK:
            raise self._refused(response)
        try:
            return [str(entry["id"]) for entry in response.json()["data"]]
        except (ValueError, KeyError, TypeError):
            raise DeskmateError(
                f"{self._server}/models is no list of models; set chat.server to the address of an OpenAI-compatible "
                "server, usually ending in /v1"
            ) from None

    def _refused(self, response: httpx.Response) -> DeskmateError:
        """What an error status means and what to do about it."""
        match response.status_code:
            case 401 | 403:
                return DeskmateError(f"{self._server} refuses the API key; set DESKMATE_CHAT__SERVER_KEY to a good one")
            case 404:
                try:
                    return self._unknown_model(self._models())
                except DeskmateError as error:
                    return error
            case status:
                reason = self._clean(_error_text(response.text))
                return DeskmateError(f"{self._server} answered {status}: {reason}")

    def _unknown_model(self, available: Sequence[str]) -> DeskmateError:
        known = f"it has {', '.join(available[:20])}" if available else "it lists none; does the address end in /v1?"
        return DeskmateError(f"{self._server} has no model {self._model!r}: {known}; set chat.server_model")

    def _unreachable(self, error: Exception) -> DeskmateError:
        if isinstance(error, httpx.ReadTimeout):
            return DeskmateError(
                f"{self._server} sent nothing for {self._seconds:g} s; try again, or raise chat.server_seconds"
            )
        reason = self._clean(str(error)) or type(error).__name__
        return DeskmateError(f"{self._server} cannot be reached ({reason}); start it, or correct chat.server")

    def _lost(self, error: Exception) -> DeskmateError:
        return DeskmateError(f"the connection to {self._server} broke ({type(error).__name__}); ask again")

    def _clean(self, text: str) -> str:
        """One line of a server's words, without the key: some servers quote it."""
        key = self._key.get_secret_value()
        line = " ".join(text.split())[:300]
        return line.replace(key, "***") if key else line


@dataclass(slots=True)
class _Progress:
    """Token counts so far, and whether the server has said that the answer is complete."""

    prompt_tokens: int
    completion_tokens: int = 0
    finished: bool = False

    def take(self, event: dict[str, Any]) -> str:
        """The text of one event; counts it, one token a piece of text, until the server's own count comes."""
        usage = event.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = int(usage.get("prompt_tokens") or self.prompt_tokens)
            self.completion_tokens = int(usage.get("completion_tokens") or self.completion_tokens)
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        self.finished = self.finished or bool(choice.get("finish_reason"))
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        if not isinstance(text, str) or not text:
            return ""
        self.completion_tokens += 1
        return text


def _adapt(body: dict[str, Any], complaint: str) -> bool:
    """Change the request as the server's complaint asks, each parameter once; False when there is nothing to change."""
    if "max_completion_tokens" in complaint and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
        return True
    for optional in ("stream_options", "temperature"):
        if optional in complaint and optional in body:
            del body[optional]
            return True
    return False


def _retry_after(response: httpx.Response, default: float) -> float:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3), or the default; a date counts as none."""
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), LONGEST_WAIT_S)
    except (KeyError, ValueError):
        return default


def _error_text(body: str | dict[str, Any]) -> str:
    """The message in an error of a server, in any of the shapes that they have."""
    if isinstance(body, str):
        try:
            parsed = json.loads(body)
        except ValueError:
            return body
        if not isinstance(parsed, dict):
            return body
        body = parsed
    error = body.get("error", body)
    return str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)
