"""The wire format of OpenAI's chat completions: requests to questions, answers to responses. Knows no HTTP.

Format: https://platform.openai.com/docs/api-reference/chat. What is ours stands beside it: `citations` in the message,
and an object `deskmate`. Clients of OpenAI's keep fields that they do not know.
"""

import dataclasses
import json
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.answering.answer import Answer
from app.answering.history import REMEMBERED
from app.web.markup import inert
from finetune.template import Turn
from ingest.errors import DeskmateError
from retrieval.search import MOST_CHARACTERS, check_question
from retrieval.settings import Method


class ApiError(Exception):
    """A request that gets no answer: its status, a plain sentence, and OpenAI's code and type of error."""

    def __init__(self, status: int, message: str, code: str = "", retry_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.retry_s = status, message, code, retry_s

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code or None}}


class Part(BaseModel):
    """A piece of a message; only text is read."""

    type: str
    text: str = ""


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    def text(self) -> str:
        """Its words.

        Raises:
            ApiError: it holds an image, sound or a file.
        """
        if not isinstance(self.content, list):
            return self.content or ""
        if other := next((part.type for part in self.content if part.type != "text"), None):
            raise ApiError(400, f"a message holds a part of type {other[:40]!r}; only text is read here")
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    include_usage: bool = Field(False, description="Send one more chunk with the tokens that were used.")


class ChatRequest(BaseModel):
    """A question with the conversation before it.

    Other parameters of OpenAI's (temperature, seed, max_tokens, user, …) are read over: the help desk decides on them.
    """

    model_config = ConfigDict(extra="ignore")

    model: str = Field(description="`deskmate`, `deskmate/MODE` or `deskmate/MODE:ADAPTER`; GET /v1/models lists them.")
    messages: list[Message] = Field(
        min_length=1,
        max_length=1000,
        description="The last is the question. System messages are ignored: the house's instructions rule.",
    )
    stream: bool | None = Field(False, description="Send the answer in pieces, as server-sent events.")
    stream_options: StreamOptions | None = Field(
        None, description="With `include_usage` one more chunk has the tokens that were used."
    )
    n: int | None = Field(1, description="Only 1.")
    tools: list[Any] | None = Field(None, description="Not supported.")
    functions: list[Any] | None = Field(None, description="Not supported.")
    response_format: dict[str, Any] | None = Field(None, description="Only `text`.")
    modalities: list[str] | None = Field(None, description="Only `text`.")
    logprobs: bool | None = Field(False, description="Not supported.")
    stop: str | list[str] | None = Field(None, description="Not supported.")

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with the tokens used."""
        return bool(self.stream_options and self.stream_options.include_usage)


class SearchRequest(BaseModel):
    """A search for passages."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(description="In your own words.")
    k: int | None = Field(None, ge=1, le=100, description="How many passages; `retrieval.k` by default.")
    method: Method | None = Field(None, description="`retrieval.method` by default.")


def read_request(model: type[BaseModel], body: bytes) -> Any:
    """Parse a body.

    Raises:
        ApiError: it is no JSON, or not what `model` asks for; the sentence names places, never what stood there.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        raise ApiError(400, "the body is no valid JSON")
    said = "; ".join(f"{'.'.join(map(str, p['loc']))[:60] or 'body'}: {p['msg'][:120]}" for p in problems[:3])
    raise ApiError(400, f"the request is not understood: {said}")


def question_of(asked: ChatRequest, is_refusal: Callable[[str], bool]) -> tuple[str, list[Turn]]:
    """The question, and the exchanges before it as the chat would remember them.

    System messages are left out. Messages of one role in a row are one. What was declined is no part of the history,
    nor is what is longer ago than the chat remembers or does not fit into the characters of one question.

    Args:
        asked: the request.
        is_refusal: tells the house's refusal from an answer.

    Raises:
        ApiError: something is asked for that there is not, or there is no question.
    """
    _check_supported(asked)
    turns: list[Turn] = []
    for message in asked.messages:
        text = message.text().strip()
        if message.role in ("tool", "function"):
            raise ApiError(400, "a message has the role of a tool; tools are not supported here")
        if message.role in ("system", "developer") or not text:
            continue
        role: Literal["user", "assistant"] = "user" if message.role == "user" else "assistant"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{text}"
        elif turns or role == "user":
            turns.append(Turn(role=role, content=text))
    if not turns or turns[-1]["role"] != "user":
        raise ApiError(400, "the last message must be the user's question")
    question = turns[-1]["content"]
    check(question)
    return question, _history(turns[:-1], is_refusal)


def check(question: str) -> None:
    """Refuse what is no question, or no search.

    Raises:
        ApiError: it is empty or endless.
    """
    try:
        check_question(question)
    except DeskmateError as error:
        raise ApiError(400, str(error)) from error


def _history(turns: Sequence[Turn], is_refusal: Callable[[str], bool]) -> list[Turn]:
    """The last exchanges that are worth telling the model, oldest first."""
    kept: list[Turn] = []
    room = MOST_CHARACTERS
    for question, answer in reversed(list(zip(turns[::2], turns[1::2], strict=True))):
        room -= len(question["content"]) + len(answer["content"])
        if room < 0 or len(kept) == 2 * REMEMBERED:
            break
        if not is_refusal(answer["content"]):
            kept[:0] = [question, answer]
    return kept


def _check_supported(asked: ChatRequest) -> None:
    wrong = {
        "n above 1: ask once more instead": asked.n not in (None, 1),
        "tools": bool(asked.tools or asked.functions),
        "a response_format other than text": bool(asked.response_format) and asked.response_format != {"type": "text"},
        "modalities other than text": bool(asked.modalities) and asked.modalities != ["text"],
        "logprobs": bool(asked.logprobs),
        "stop": bool(asked.stop),
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ApiError(400, f"not supported here: {what}", "unsupported_parameter")


class Completion:
    """One response, whole or in chunks, under one id."""

    def __init__(self, model: str, longest: int) -> None:
        """Begin a response.

        Args:
            model: the name that was asked for.
            longest: tokens after which an answer is cut off.
        """
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}
        self._longest = longest

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one object."""
        content = inert(answer.answer)
        message = {"role": "assistant", "content": content, "refusal": None, "citations": citations(answer)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason(answer)}
        head = {**self._head, "object": "chat.completion", "choices": [choice]}
        return {**head, "usage": usage(answer), "deskmate": details(answer)}

    def piece(self, text: str, *, first: bool = False) -> bytes:
        """A chunk with the next words; the first one names the role too."""
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])

    def end(self, answer: Answer) -> bytes:
        """The chunk that ends the answer and says what it rests on."""
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._reason(answer)}
        ours = {"answer": inert(answer.answer), "citations": citations(answer), **details(answer)}
        return self._chunk([choice], deskmate=ours)

    def tokens(self, answer: Answer) -> bytes:
        """The chunk with the usage."""
        return self._chunk([], usage=usage(answer))

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return event({**self._head, "object": "chat.completion.chunk", "choices": choices, **more})

    def _reason(self, answer: Answer) -> str:
        return "length" if answer.usage.completion_tokens >= self._longest else "stop"


DONE = b"data: [DONE]\n\n"
BEAT = b": still writing\n\n"
"""A comment, which clients skip."""


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def words(text: str) -> list[str]:
    """A text in the pieces of a stream: words, each with the white space before it."""
    return re.findall(r"\s*\S+", text)


def citations(answer: Answer) -> list[dict[str, Any]]:
    """What the markers in the answer point to."""
    return [dataclasses.asdict(citation) for citation in answer.citations]


def usage(answer: Answer) -> dict[str, int]:
    """Tokens, as OpenAI counts them."""
    read, written = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def details(answer: Answer) -> dict[str, Any]:
    """What OpenAI has no place for: how the answer came about, and how far it is to be trusted."""
    return {
        "mode": str(answer.mode),
        "model": answer.model,
        "adapter": answer.adapter,
        "stale": answer.stale or None,
        "generation": answer.generation,
        "refused": answer.refused,
        "quoted": answer.quoted,
        "clarified": answer.clarified,
        "corrected": bool(answer.corrected),
        "confidence": answer.confidence,
        "unsupported": [one.text for one in answer.sentences if not one.supported],
        "timing": dataclasses.asdict(answer.timing),
    }
