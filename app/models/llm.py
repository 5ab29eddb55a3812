"""Chat models behind one small protocol, and the echo. Weights: `app.models.local`. Servers: `app.models.remote`."""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from finetune.adapters.card import Adapter
from finetune.template import Turn


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer. Token counts are running totals, the last delta's are final."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """A model that continues a conversation. Construction is cheap; `load` brings the weights in."""

    @property
    def name(self) -> str:
        """What answers and reports call the model."""

    def load(self, adapter: Adapter | None = None) -> None:
        """Bring the model into memory or check that its server answers, and that it can serve `adapter`.

        Raises:
            DeskmateError: when it cannot, with what to do.
        """

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: threading.Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        """Yield the answer in pieces, with `adapter` or with the base alone.

        It ends early, and stops computing, once `cancel` is set or the iterator is closed.
        """

    def generate_batch(
        self, conversations: Sequence[Sequence[Turn]], max_tokens: int, *, adapter: Adapter | None = None
    ) -> "list[Completion]":
        """Answer many conversations, in their order."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer with its token counts."""

    text: str
    prompt_tokens: int
    completion_tokens: int


def complete(
    model: ChatModel,
    messages: Sequence[Turn],
    max_tokens: int,
    cancel: threading.Event | None = None,
    adapter: Adapter | None = None,
) -> Completion:
    """Collect a stream into one answer."""
    text, prompt_tokens, completion_tokens = "", 0, 0
    for delta in model.stream(messages, max_tokens, cancel, adapter):
        text += delta.text
        prompt_tokens, completion_tokens = delta.prompt_tokens, delta.completion_tokens
    return Completion(text, prompt_tokens, completion_tokens)


class EchoModel:
    """A fake without weights: answers with the first sentence of the first passage and cites it, word by word.

    Without passages it gives the question back. The same prompt always gets the same answer, under any adapter: there
    are no weights that one could change. Tokens are words.
    """

    name = "echo"

    def __init__(self, delay_s: float = 0.0) -> None:
        """Make a fake that waits `delay_s` seconds before each word."""
        self._delay_s = delay_s

    def load(self, adapter: Adapter | None = None) -> None:
        """Do nothing: there is nothing to load."""

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: threading.Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        """Yield the answer a word at a time, each with the white space before it."""
        prompt_tokens = sum(len(message["content"].split()) for message in messages)
        words = re.findall(r"\s*\S+", _echo(messages[-1]["content"] if messages else ""))[:max_tokens]
        for count, word in enumerate(words, start=1):
            if self._delay_s and (cancel or threading.Event()).wait(self._delay_s):
                return
            if cancel and cancel.is_set():
                return
            yield Delta(word, prompt_tokens, count)
        if not words:
            yield Delta("", prompt_tokens, 0)

    def generate_batch(
        self, conversations: Sequence[Sequence[Turn]], max_tokens: int, *, adapter: Adapter | None = None
    ) -> list[Completion]:
        """One after the other."""
        return [complete(self, messages, max_tokens) for messages in conversations]


def _echo(prompt: str) -> str:
    """The first sentence of passage 1 with its citation, or else the question, which is the prompt's last line."""
    passage = re.search(r"^Passage 1\b[^\n]*\n<<<\n(.*?)\n>>>$", prompt, re.DOTALL | re.MULTILINE)
    if passage is None:
        lines = [line.strip() for line in prompt.splitlines() if line.strip()]
        return (lines[-1].partition(": ")[2] or lines[-1]) if lines else ""
    paragraphs = [line for line in passage[1].splitlines() if line.strip() and not line.startswith(("#", "|"))]
    text = " ".join(" ".join(paragraphs or passage[1].split()).split())
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0] + " [1]"
