"""Chat models behind one small protocol: an OpenAI-compatible client and the echo fake. Local weights: `app.local`."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict


class Message(TypedDict):
    """One message of a conversation, as every chat API has it."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer. Token counts are running totals, the last delta's are final."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """A model that continues a conversation. Construction is cheap; `load` brings the weights in."""

    name: str

    def load(self) -> None:
        """Bring the model into memory or check that its server answers.

        Raises:
            DeskmateError: when it cannot be had, with what to do.
        """

    def stream(
        self, messages: Sequence[Message], max_tokens: int, cancel: threading.Event | None = None
    ) -> Iterator[Delta]:
        """Yield the answer in pieces; end early, and stop computing, once `cancel` is set or the iterator is closed."""
