"""The model of the attacked desk, in the attacker's hand: no guarantee of ours may rest on what a model writes."""

from collections.abc import Iterator, Sequence
from threading import Event

from app.models.llm import Completion, Delta, EchoModel, complete
from finetune.adapters.card import Adapter
from finetune.template import Turn


class Puppet(EchoModel):
    """A model in the attacker's hand: says what it is told to, else the first sentence it reads; keeps its prompts."""

    def __init__(self) -> None:
        super().__init__()
        self.says = ""
        self.read: list[Sequence[Turn]] = []

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        """Yield a word at a time."""
        self.read.append(messages)
        if not self.says:
            yield from super().stream(messages, max_tokens, cancel, adapter)
        for n, piece in enumerate(self.says.splitlines(keepends=True), 1):
            yield Delta(piece, 1, n)

    def generate_batch(
        self, conversations: Sequence[Sequence[Turn]], max_tokens: int, *, adapter: Adapter | None = None
    ) -> list[Completion]:
        """One after the other."""
        return [complete(self, messages, max_tokens) for messages in conversations]
