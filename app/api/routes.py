"""The HTTP API: OpenAI's chat completions and models, search, health, figures, and a page that describes them.

Composes door, line, wire format and desk. The key's groups go to the desk; nothing in a request can name others.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from app.answering.answer import Answer, Event, Finished, Token
from app.api.door import UNEXPECTED, Door, GoneError, Porter, log_kind, refusal, unless_gone
from app.api.figures import ApiMetrics, CountedDesk
from app.api.keys import Keys
from app.api.model_names import ROOT, Named, find_model, model_names
from app.api.page import POLICY, api_page, body_of, describe
from app.api.wire import (
    BEAT,
    DONE,
    ApiError,
    ChatRequest,
    Completion,
    SearchRequest,
    check,
    event,
    question_of,
    read_request,
    words,
)
from app.console import search_json
from app.desk import Desk
from app.web.line import FullError, GreedyError, Line, with_beats
from app.web.markup import begun, inert
from app.web.metrics_text import CONTENT_TYPE
from ingest.errors import DeskmateError

SEARCHES = 2
"""Searches that run at the same time."""

BUSY_S = 5
"""When a request that found the line full may try again."""

BEAT_S = 10.0
"""Longest silence of a stream: proxies hang up on longer ones."""

READY_S = 5.0
"""Seconds for which it is believed that the desk is, or is not, ready."""


class Api:
    """The API of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settings = settings = desk.settings.api
        self._door = Door(Keys(desk.workspace.keys), settings)
        self._answers = Line(settings.at_once, settings.waiting, settings.wait_seconds, settings.per_key)
        self._searches = Line(SEARCHES, settings.waiting, settings.wait_seconds, settings.per_key)
        self._metrics = ApiMetrics(self._answers, self._searches)
        self._ready = Readiness(desk)
        self._started = int(time.time())

    def counted(self) -> CountedDesk:
        """The desk for the chat, whose answers are in the figures too."""
        return CountedDesk(self._desk, self._metrics)

    def mount(self, app: FastAPI) -> None:
        """Put the API before everything else that `app` serves: `/v1/…`, `/readyz` and `/metrics`."""
        app.router.routes[:0] = [
            Route("/readyz", self._readyz),
            Route("/metrics", self._figures),
            Mount("/v1", Porter(self._application(), self._count)),
        ]

    def _application(self) -> FastAPI:
        api = FastAPI(title="deskmate", version="1", docs_url=None, redoc_url=None)
        chat, search = body_of("ChatRequest"), body_of("SearchRequest")
        api.add_api_route("/chat/completions", self._chat, methods=["POST"], openapi_extra=chat)
        api.add_api_route("/models", self._models, methods=["GET"])
        api.add_api_route("/models/{name:path}", self._model, methods=["GET"])
        api.add_api_route("/search", self._search, methods=["POST"], openapi_extra=search)
        api.add_route("/docs", _docs)
        describe(api)
        api.add_exception_handler(Exception, _failed)
        for kind in (ApiError, DeskmateError, FullError, GoneError, HTTPException):
            api.add_exception_handler(kind, _refused)
        return api

    async def _chat(self, request: Request) -> Response:
        """Answer a question from the documents that the key may read, whole or as a stream."""
        began = time.perf_counter()
        key = self._door.admit(request, "chat")
        asked: ChatRequest = read_request(ChatRequest, await self._door.body(request))
        question, history = question_of(asked, self._desk.voice.is_refusal)
        groups = frozenset(key.groups)
        named = await self._named(asked.model, groups, "adapters" in key.scopes)
        cancel = threading.Event()
        events = self._answers.run(
            lambda: self._sent(
                self._desk.answerer_under(named.adapter).stream(
                    question, mode=named.mode, groups=groups, history=history, cancel=cancel
                )
            ),
            cancel,
            key.id,
        )
        watched = self._metrics.watch(events, began)
        completion = Completion(asked.model, self._desk.settings.chat.answer_tokens)
        if not asked.stream:
            return JSONResponse(completion.whole(await unless_gone(request, _answer(watched))))
        await unless_gone(request, _first(watched))  # what goes wrong before the first word has a status of its own
        headers = {"x-accel-buffering": "no"}
        stream = self._pieces(watched, completion, asked.wants_usage)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    def _sent(self, events: Iterator[Event]) -> Iterator[Event]:
        """Of a model's words only the first, where they are not sent as they are written: it tells when they began.

        Each word on its way from the thread to the loop costs more than writing it down.
        """
        began = False
        for one in events:
            if not (isinstance(one, Token) and began and self._settings.stream == "checked"):
                yield one
            began = began or isinstance(one, Token)

    async def _pieces(
        self, events: AsyncGenerator[Event, None], completion: Completion, wants_usage: bool
    ) -> AsyncIterator[bytes]:
        """An answer as server-sent events."""
        as_written, written, held = self._settings.stream == "as-written", False, ""
        yield completion.piece("", first=True)
        try:
            async with aclosing(with_beats(events, BEAT_S)) as beating:
                async for one in beating:
                    if one is None:
                        yield BEAT
                    elif isinstance(one, Token) and as_written:
                        written, held = True, held + one.text
                        if at := begun(held):
                            yield completion.piece(inert(held[:at]))
                            held = held[at:]
                    elif isinstance(one, Finished):
                        left = [inert(held)] if written else words(inert(one.answer.answer))
                        last = [completion.piece(text) for text in left] + [completion.end(one.answer)]
                        if wants_usage:
                            last.append(completion.tokens(one.answer))
                        yield b"".join([*last, DONE])  # in one go: each costs a way through all that is around
        except DeskmateError as error:
            yield event(ApiError(503, str(error)).body())
        except Exception as error:  # noqa: BLE001  # the stream has begun: no status can tell any more
            log_kind(error)
            yield event(ApiError(500, UNEXPECTED).body())

    async def _models(self, request: Request) -> Response:
        """List the model names that the key may use; each names a mode, and perhaps an adapter."""
        key = self._door.admit(request)
        names = await asyncio.to_thread(
            model_names, self._desk.serving, frozenset(key.groups), "adapters" in key.scopes
        )
        return JSONResponse({"object": "list", "data": [self._card(name) for name in names]})

    async def _model(self, request: Request) -> Response:
        """Say whether there is a model of that name for the key."""
        key = self._door.admit(request)
        name = str(request.path_params["name"])
        await self._named(name, frozenset(key.groups), "adapters" in key.scopes)
        return JSONResponse(self._card(name))

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": ROOT}

    async def _search(self, request: Request) -> Response:
        """Find passages in the documents that the key may read."""
        key = self._door.admit(request, "search")
        asked: SearchRequest = read_request(SearchRequest, await self._door.body(request))
        check(asked.query)
        groups, search = frozenset(key.groups), self._desk.searcher.search
        found = self._searches.call(lambda: search(asked.query, k=asked.k, groups=groups, method=asked.method), key.id)
        return JSONResponse(search_json(await unless_gone(request, found)))

    async def _named(self, name: str, groups: frozenset[str], any_adapter: bool) -> Named:
        named = await asyncio.to_thread(find_model, name, self._desk.serving, groups, any_adapter)
        if named is None:
            message = f"there is no model {name[:80]!r} for this key; GET /v1/models lists those there are"
            raise ApiError(404, message, "model_not_found")
        return named

    async def _readyz(self, request: Request) -> Response:
        reason = await self._ready.reason()
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ready"})

    async def _figures(self, request: Request) -> Response:
        if not self._settings.open_metrics:
            try:
                self._door.admit(request, "metrics")
            except ApiError as error:
                return refusal(error)
            except DeskmateError as error:
                return refusal(ApiError(503, str(error), "unavailable"))
        return PlainTextResponse(self._metrics.page(), media_type=CONTENT_TYPE)

    def _count(self, path: str, status: int) -> None:
        """Count a request. Only paths that there are become labels: others are whatever a client thought up."""
        route = path if path in _ROUTES else "/v1/models/{name}" if path.startswith("/v1/models/") else "other"
        self._metrics.requests.add(route, str(status or 499))


_ROUTES = frozenset({"/v1/chat/completions", "/v1/models", "/v1/search", "/v1/docs", "/v1/openapi.json"})


async def _first(events: AsyncGenerator[Event, None]) -> None:
    """Wait for the first event, which says only what was found."""
    await anext(events)


async def _answer(events: AsyncGenerator[Event, None]) -> Answer:
    async with aclosing(events):
        async for one in events:
            if isinstance(one, Finished):
                return one.answer
    raise GoneError  # only what is cancelled ends without an answer


async def _refused(request: Request, error: Exception) -> Response:
    """What a request gets that cannot be answered."""
    match error:
        case ApiError():
            return refusal(error)
        case GreedyError():
            return refusal(ApiError(429, "too many requests of this key are waiting already", "key_overloaded", BUSY_S))
        case FullError():
            return refusal(ApiError(429, "too many requests are waiting; try again soon", "overloaded", BUSY_S))
        case HTTPException():
            return refusal(ApiError(error.status_code, "there is nothing of that kind here; see /v1/docs", "not_found"))
        case DeskmateError():
            return refusal(ApiError(503, str(error), "unavailable"))
    return Response(status_code=499)  # the client has left


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(ApiError(500, UNEXPECTED))


async def _docs(request: Request) -> Response:
    return HTMLResponse(api_page(request.app.openapi()), headers={"content-security-policy": POLICY})


class Readiness:
    """Whether questions can be answered now. Asked at most every few seconds, however often somebody wants to know."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = asyncio.Lock()
        self._known: tuple[float, str] | None = None

    async def reason(self) -> str:
        """Why not; empty when they can."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > READY_S:
                reason = await asyncio.to_thread(self._look)
                self._known = (time.monotonic(), reason)
            return self._known[1]

    def _look(self) -> str:
        try:
            self._desk.searcher.open()
            self._desk.database.ping()
            adapter = self._desk.serving.adapter()
            if self._desk.settings.chat.backend == "openai":  # a local model is in memory before anything listens
                self._desk.model.load(adapter)
        except DeskmateError as error:
            return str(error)
        return ""
