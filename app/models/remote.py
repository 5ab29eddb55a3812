"""A chat model behind any OpenAI-compatible server (vLLM, llama.cpp, Ollama, OpenAI): chat completions over SSE.

Knows HTTP and the wire format; knows nothing of prompts. The API key is sent in one header and appears nowhere else.
Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from app.models.llm import Completion, Delta, complete
from finetune.adapters.card import Adapter
from finetune.template import Turn
from ingest.errors import DeskmateError

AT_ONCE = 8
"""Conversations of a batch that are sent at the same time."""
RETRY_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
CONNECT_S = 5.0
CHARACTERS_PER_TOKEN = 4
"""For servers that report no usage: English text has about four characters a token."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a server is asked for: whose settings name it, and how long to go on asking when it is busy or down.

    `backoff_s` are the seconds before each further attempt, none for a single one. A server's Retry-After goes before
    them, up to `longest_wait_s`.
    """

    section: str
    backoff_s: tuple[float, ...]
    longest_wait_s: float


CHAT = Role("chat", (0.5, 1.0, 2.0), 20.0)
"""Somebody is waiting for the answer."""

TEACHER = Role("teacher", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0), 120.0)
"""Nobody is waiting, and every answer is wanted."""


class OpenAIModel:
    """A model on an OpenAI-compatible server. `load` asks which models it has; any thread may stream."""

    def __init__(
        self,
        server: str,
        model: str,
        api_key: SecretStr,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        role: Role = CHAT,
    ) -> None:
        """Describe the server without connecting to it.

        Args:
            server: base address with its version, such as `http://127.0.0.1:8000/v1`.
            model: the server's name for the model; its first one when empty.
            api_key: sent as a bearer token; empty for none.
            timeout: the server's longest silence in seconds, before the first token or between two.
            transport: another way to the server, for tests.
            role: how often to ask again, and which settings its errors name.

        Raises:
            DeskmateError: when `server` is no HTTP address.
        """
        self._model = model
        self._key = api_key
        self._seconds = timeout
        self._role = role
        self._server = server.rstrip("/")
        if not re.match(r"https?://[^/\s]+", server):
            raise DeskmateError(
                f"{role.section}.server is {server!r}, which is no address like http://127.0.0.1:8000/v1"
            )
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

    def load(self, adapter: Adapter | None = None) -> None:
        """Check that the server answers and has the model, and the adapter under its id as one more.

        Raises:
            DeskmateError: when it does not, with what to do.
        """
        available = self._models()
        if not self._model:
            if not available:
                raise DeskmateError(f"{self._server} lists no model; set {self._role.section}.server_model to one")
            self._model = available[0]
        elif available and self._model not in available:
            raise self._unknown_model(self._model, available)
        if adapter and available and adapter.id not in available:
            raise self._unknown_model(adapter.id, available)

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: threading.Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        """Yield the answer as the server sends it. Cancelling or closing the iterator closes the connection.

        An adapter is a model of the server's by the adapter's id, as `vllm --lora-modules house/v3=FOLDER` makes it.

        Token counts are the server's in the last delta, estimates before; of a server that reports none, estimates.
        A cancellation is noticed when something arrives, which the timeout bounds.

        Raises:
            DeskmateError: when the server refuses, is lost half-way or sends what is no such stream.
        """
        if not self._model:
            self.load()
        body: dict[str, Any] = {
            "model": adapter.id if adapter else self._model,
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

    def generate_batch(
        self, conversations: Sequence[Sequence[Turn]], max_tokens: int, *, adapter: Adapter | None = None
    ) -> list[Completion]:
        """Answer many conversations, in their order, some at a time: the server batches them.

        Raises:
            DeskmateError: as `stream`, with the first that fails.
        """

        def one(messages: Sequence[Turn]) -> Completion:
            return complete(self, messages, max_tokens, adapter=adapter)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, conversations))

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
                if attempt >= len(self._role.backoff_s) or isinstance(error, httpx.ReadTimeout):
                    raise self._unreachable(error) from error
                wait = self._role.backoff_s[attempt]
            else:
                try:
                    if response.status_code == httpx.codes.OK:
                        yield response
                        return
                    response.read()
                    if response.status_code == httpx.codes.BAD_REQUEST and _adapt(body, response.text):
                        continue
                    if response.status_code not in RETRY_STATUS or attempt >= len(self._role.backoff_s):
                        raise self._refused(response, body["model"])
                    wait = _retry_after(response, self._role.backoff_s[attempt], self._role.longest_wait_s)
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
                said = self._clean(data)[:80]
                raise DeskmateError(
                    f"{self._server} sent what is no chat stream ({said!r}); is it an OpenAI-compatible server?"
                )
            if event.get("error"):
                raise DeskmateError(f"{self._server} failed while answering: {self._clean(_error_text(event))}")
            yield event

    def _models(self) -> list[str]:
        """Names of the models that the server lists; none when it has no such list."""
        deadline = time.monotonic() + self._seconds
        for wait in (*self._role.backoff_s, None):
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
            raise self._refused(response, self._model)
        try:
            return [str(entry["id"]) for entry in response.json()["data"]]
        except (ValueError, KeyError, TypeError):
            raise DeskmateError(
                f"{self._server}/models is no list of models; set {self._role.section}.server to the address of an "
                "OpenAI-compatible server, usually ending in /v1"
            ) from None

    def _refused(self, response: httpx.Response, model: str) -> DeskmateError:
        """What an error status means and what to do about it."""
        match response.status_code:
            case 401 | 403:
                variable = f"DESKMATE_{self._role.section.upper()}__SERVER_KEY"
                return DeskmateError(f"{self._server} refuses the API key; set {variable} to a good one")
            case 404:
                try:
                    return self._unknown_model(model, self._models())
                except DeskmateError as error:
                    return error
            case status:
                reason = self._clean(_error_text(response.text))
                return DeskmateError(f"{self._server} answered {status}: {reason}")

    def _unknown_model(self, model: str, available: Sequence[str]) -> DeskmateError:
        known = f"it has {', '.join(available[:20])}" if available else "it lists none; does the address end in /v1?"
        cure = f"set {self._role.section}.server_model"
        if model != self._model:
            cure = f"start it with --lora-modules {model}=FOLDER, a folder of deskmate adapters export"
        return DeskmateError(f"{self._server} has no model {model!r}: {known}; {cure}")

    def _unreachable(self, error: Exception) -> DeskmateError:
        if isinstance(error, httpx.ReadTimeout):
            return DeskmateError(
                f"{self._server} sent nothing for {self._seconds:g} s; try again, or raise "
                f"{self._role.section}.server_seconds"
            )
        reason = self._clean(str(error)) or type(error).__name__
        return DeskmateError(
            f"{self._server} cannot be reached ({reason}); start it, or correct {self._role.section}.server"
        )

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


def _retry_after(response: httpx.Response, default: float, longest: float) -> float:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3), or the default; a date counts as none."""
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), longest)
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
