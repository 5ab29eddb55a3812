"""The chat model in this process: messages in, streamed text out, by `app.models.decode` on `finetune.model`'s weights.

Knows text, templates and locking; leaves tensors to the decoder. torch is imported by `load`, not before.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.models.llm import Completion, Delta
from finetune.adapters.card import Adapter
from finetune.model import Base, LoadedBase, load_base, pick_base
from finetune.settings import ModelSettings
from finetune.template import Turn, encode, stop_ids
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from app.models.decode import Decoder
    from finetune.adapters.adapter import Adapters

BATCH_SIZE = 8
"""Prompts decoded together: 2.2 to 2.8 times the speed of one by one (700-token prompts, two cores); 16 add nothing."""

PROBE = "What may employees expect of the service desk? Answer in one sentence."
"""Every adapter must change what the model would say first to this."""


class LocalModel:
    """A model in this process. One request computes at a time, in the caller's thread; others wait.

    Each request says under which adapter it is computed. They are switched between requests, never in one, on the
    weights that are here once.
    """

    def __init__(
        self, settings: ModelSettings, models_dir: Path, load: Callable[[Base, Path], LoadedBase] = load_base
    ) -> None:
        """Describe a model without loading it.

        Args:
            settings: which model, in what arithmetic.
            models_dir: where the embedded models live.
            load: brings a model that was picked into memory.
        """
        self._settings = settings
        self._models_dir = models_dir
        self._load = load
        self._lock = threading.Lock()  # not an RLock: a server may resume a stream in another thread
        self._loaded: LoadedBase | None = None
        self._decoder: Decoder | None = None
        self._adapters: Adapters | None = None

    @cached_property
    def base(self) -> Base:
        """The model that the settings mean on this machine.

        Raises:
            DeskmateError: when its weights are not here.
        """
        return pick_base(self._settings)

    @property
    def name(self) -> str:
        """The base model's name. Only `auto` has to look at the machine for it."""
        return self.base.name if self._settings.base == "auto" else self._settings.base

    def load(self, adapter: Adapter | None = None) -> None:
        """Bring the weights in, once, and an adapter that is to be used.

        Raises:
            DeskmateError: when they cannot be had, or the adapter is none for this base.
        """
        with self._lock:
            self._ready(adapter)

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: threading.Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        """Yield the answer in pieces of whole characters; stop computing within a token of `cancel` or of closing.

        Raises:
            DeskmateError: when the prompt is longer than the model reads, the model computes nonsense, or the adapter
                cannot be used.
        """
        with self._turn(cancel) as mine:
            if not mine:
                return
            loaded, decoder = self._ready(adapter)
            prompt = self._encode(loaded, messages)
            pieces = Pieces(loaded.tokenizer)
            count, told = 0, -1
            for token in decoder.stream(prompt, self._room(loaded, prompt, max_tokens), cancel):
                count += 1
                text = pieces.add(token)
                if text:
                    told = count
                    yield Delta(text, len(prompt), count)
            rest = pieces.rest()
            if rest or told != count:
                yield Delta(rest, len(prompt), count)

    def generate_batch(
        self,
        conversations: Sequence[Sequence[Turn]],
        max_tokens: int,
        batch_size: int = BATCH_SIZE,
        adapter: Adapter | None = None,
    ) -> list[Completion]:
        """Answer many conversations, in their order, with the tokens that `stream` would give one by one.

        In float32 the tokens are the same; in bfloat16 another shape of batch rounds differently, which now and
        then tips the choice between two nearly equal tokens.

        Raises:
            DeskmateError: as `stream`.
        """
        with self._lock:
            loaded, decoder = self._ready(adapter)
            prompts = [self._encode(loaded, messages) for messages in conversations]
            room = [self._room(loaded, prompt, max_tokens) for prompt in prompts]
            answers = decoder.batch(prompts, min(room, default=0), batch_size)
        return [
            Completion(_decode(loaded.tokenizer, ids).rstrip("\ufffd"), len(prompt), len(ids))
            for prompt, ids in zip(prompts, answers, strict=True)
        ]

    def _ready(self, adapter: Adapter | None) -> "tuple[LoadedBase, Decoder]":
        """The model and its decoder, under an adapter. Call with the lock."""
        if self._loaded is None or self._decoder is None or self._adapters is None:
            from app.models.decode import Decoder
            from finetune.adapters.adapter import Adapters

            loaded = self._loaded = self._load(self.base, self._models_dir)
            probe = encode(loaded.tokenizer, [Turn(role="user", content=PROBE)])
            self._adapters = Adapters(loaded.model, self.name, probe)
            self._decoder = Decoder(loaded.model, stop_ids(loaded.tokenizer, loaded.template))
        self._adapters.use(adapter)
        self._decoder.under = adapter.checksum if adapter else ""
        return self._loaded, self._decoder

    @contextmanager
    def _turn(self, cancel: threading.Event | None) -> Iterator[bool]:
        """Wait for the model; yields False, without it, once `cancel` is set."""
        while not self._lock.acquire(timeout=0.05 if cancel else -1):
            if cancel and cancel.is_set():
                yield False
                return
        try:
            yield not (cancel and cancel.is_set())
        finally:
            self._lock.release()

    def _encode(self, loaded: LoadedBase, messages: Sequence[Turn]) -> list[int]:
        prompt = encode(loaded.tokenizer, messages)
        context = _context(loaded)
        if len(prompt) >= context:
            raise DeskmateError(
                f"the prompt has {len(prompt)} tokens and {self.name} reads {context} with its answer; "
                "ask for fewer passages, shorten the question or start a new conversation"
            )
        return prompt

    @staticmethod
    def _room(loaded: LoadedBase, prompt: Sequence[int], max_tokens: int) -> int:
        """How long the answer may be: as asked for, or what is left of the context."""
        return min(max_tokens, _context(loaded) - len(prompt))


class Pieces:
    """Token ids to text, piece by piece, never half of a character.

    A piece is decoded together with the one before it, because what a token looks like (a leading space, a byte of
    an emoji) depends on its neighbours.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []  # the last piece that was given out, then the tokens that were not
        self._given = 0

    def add(self, token: int) -> str:
        """Take a token; return the text that it completes, which may be empty."""
        self._ids.append(token)
        return "" if self._text().endswith("\ufffd") else self._give()

    def rest(self) -> str:
        """The text still held back at the end, without the half of a character that was cut off."""
        return self._give().rstrip("\ufffd")

    def _text(self) -> str:
        return _decode(self._tokenizer, self._ids)

    def _give(self) -> str:
        before = _decode(self._tokenizer, self._ids[: self._given])
        text = self._text()[len(before) :]
        if text:
            self._ids = self._ids[self._given :]
            self._given = len(self._ids)
        return text


def _decode(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _context(loaded: LoadedBase) -> int:
    """Most tokens of prompt and answer together."""
    return int(loaded.model.config.get_text_config(decoder=True).max_position_embeddings)
