"""Greedy decoding of token ids, one conversation at a time or many at once. A leaf around torch; knows no text.

Three things make it quick on two CPU cores, all measured with SmolLM2-135M (figures in docs/log.md):
the keys and values of earlier prompts are kept, so that instructions and history are read once; several tokens
are guessed from what was read before and checked in one pass (prompt lookup decoding), because a pass over eight
tokens costs hardly more than over one; and the cache is written in place. None of them changes what greedy decoding
yields, beyond the rounding of bfloat16.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch  # noqa: TID253  a leaf

from app.models.kv_cache import Session
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFILL_TOKENS = 512
"""Tokens of a prompt read in one pass; between passes a cancellation is noticed (about 0.5 s on two cores)."""

DRAFT_TOKENS = 8
"""Most tokens guessed ahead. On CPU a pass over nine costs 1.2 times a pass over one."""

KEPT_TOKENS = 16_384
"""Tokens whose keys and values are kept between calls (23 KB each for SmolLM2, 128 KB for Mistral-7B)."""

LOOP_TOKENS = 12
LOOP_TIMES = 3
"""An answer that writes the same 12 tokens for the third time is ended: small models loop, and good answers of some
hundred words don't do that. Unlike a repetition penalty this leaves the choice of every token alone."""


class Lookup:
    """Guesses the next tokens: what followed the last time that the last three (or two) tokens were seen.

    Answers from passages repeat the passages, so the guess is often right. Source: A. Saxena, Prompt Lookup
    Decoding, 2023 (`prompt_lookup_num_tokens` in transformers).
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}
        for token in ids:
            self.add(token)

    def add(self, token: int) -> None:
        """Append a token that was read or written."""
        ids = self._ids
        for size in (2, 3):
            if len(ids) >= size:
                self._next[tuple(ids[-size:])] = len(ids)
        ids.append(token)

    def guess(self, most: int) -> list[int]:
        """At most `most` tokens that may come next."""
        for size in (3, 2):
            start = self._next.get(tuple(self._ids[-size:]))
            if start is not None:
                return self._ids[start : start + most]
        return []


class Written:
    """The tokens of one answer so far, and whether it has ended."""

    def __init__(self, stops: frozenset[int], max_tokens: int) -> None:
        self.ids: list[int] = []
        self.ended = max_tokens <= 0
        self._stops = stops
        self._max = max_tokens
        self._seen: Counter[tuple[int, ...]] = Counter()

    def add(self, token: int) -> bool:
        """Take the next token; True when it belongs to the answer (a stop token does not)."""
        if token in self._stops:
            self.ended = True
            return False
        self.ids.append(token)
        tail = tuple(self.ids[-LOOP_TOKENS:])
        self._seen[tail] += len(tail) == LOOP_TOKENS
        self.ended = len(self.ids) >= self._max or self._seen[tail] >= LOOP_TIMES
        return True


class Decoder:
    """Greedy decoding with one model. Not safe for use by two threads at once."""

    def __init__(self, model: "PreTrainedModel", stops: frozenset[int], draft_tokens: int = DRAFT_TOKENS) -> None:
        """Wrap a model in evaluation mode.

        Args:
            model: a decoder-only transformer with full attention.
            stops: ids of the tokens that end an answer.
            draft_tokens: most tokens guessed ahead; 0 turns guessing off.
        """
        self._model = model
        self._stops = stops
        self._draft = draft_tokens
        self._layers = int(model.config.get_text_config(decoder=True).num_hidden_layers)
        self._kept: list[Session] = []
        self.under = ""
        """What the model computes with now, the adapter's name or nothing: to be set when its weights are switched."""

    def stream(self, prompt: Sequence[int], max_tokens: int, cancel: threading.Event | None = None) -> Iterator[int]:
        """Yield the answer's tokens. Ends at a stop token, at `max_tokens`, in a loop, and within a token of `cancel`.

        Raises:
            DeskmateError: when the model computes values that are not finite.
        """
        written = Written(self._stops, max_tokens)
        session = self._resume(prompt)
        lookup = Lookup(prompt)
        try:
            fresh = self._prefill(session, prompt, cancel)
            while fresh and not written.ended and not (cancel and cancel.is_set()):
                for token in fresh:
                    if not written.add(token):
                        return
                    lookup.add(token)
                    yield token
                    if written.ended or (cancel and cancel.is_set()):
                        return
                fresh = self._next(session, fresh[-1], lookup.guess(self._draft))
        finally:
            self._keep(session)

    def batch(self, prompts: Sequence[list[int]], max_tokens: int, batch_size: int) -> list[list[int]]:
        """The answers to many prompts, in their order: the same tokens as `stream` gives one by one.

        What all prompts begin with is read once. The rest is padded on its left side, prompts of similar length
        together; a row leaves the batch when its answer has ended.

        Raises:
            DeskmateError: when the model computes values that are not finite.
        """
        answers = [Written(self._stops, max_tokens) for _ in prompts]
        if not prompts or max_tokens <= 0:
            return [answer.ids for answer in answers]
        shared = common_prefix(min(prompts), max(prompts))  # in sorted order all others lie between these two
        shared = min(shared, min(map(len, prompts)) - 1)
        head = self._resume(prompts[0][:shared])
        if shared > len(head.ids):
            self._read(head, prompts[0][len(head.ids) : shared], 1)
        self._keep(head)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            self._batch(head, shared, [prompts[i] for i in rows], [answers[i] for i in rows])
        return [answer.ids for answer in answers]

    def _batch(self, head: Session, shared: int, prompts: list[list[int]], answers: list[Written]) -> None:
        """Fill `answers` for one batch of prompts whose first `shared` tokens `head` holds."""
        device = self._model.device
        session = head.copy_prefix(shared, rows=len(prompts))
        width = max(map(len, prompts)) - shared
        tokens = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.ones((len(prompts), shared + width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            pad = width - (len(prompt) - shared)
            tokens[row, pad:] = torch.tensor(prompt[shared:])
            mask[row, shared : shared + pad] = 0
        tokens, mask = tokens.to(device), mask.to(device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        active = list(answers)
        while active:
            best = self._pass(session, tokens, 1, attention_mask=mask, position_ids=positions)[:, 0]
            for answer, token in zip(active, best.tolist(), strict=True):
                if not answer.ended:
                    answer.add(token)
            going = [row for row, answer in enumerate(active) if not answer.ended]
            if len(going) <= 0.75 * len(active):  # selecting copies the cache, so not for every row that ends
                keep = torch.tensor(going, dtype=torch.long, device=device)
                active = [active[row] for row in going]
                best, mask, positions = best[keep], mask[keep], positions[keep]
                if active:
                    session.select(keep)
            tokens = best[:, None]
            mask = torch.cat([mask, mask.new_ones((len(active), 1))], dim=1)
            positions = positions[:, -1:] + 1

    def _prefill(self, session: Session, prompt: Sequence[int], cancel: threading.Event | None) -> list[int]:
        """Read the prompt from where the session ends and return its first answer token; none when cancelled."""
        fresh: list[int] = []
        while len(session.ids) < len(prompt):
            if cancel and cancel.is_set():
                return []
            start = len(session.ids)
            fresh = self._read(session, prompt[start : start + PREFILL_TOKENS], 1)
        return fresh

    def _next(self, session: Session, token: int, draft: list[int]) -> list[int]:
        """Read a token and a guess at what follows; return the guessed tokens that are right and one more."""
        best = self._read(session, [token, *draft], len(draft) + 1)
        right = 0
        while right < len(draft) and draft[right] == best[right]:
            right += 1
        session.crop(len(session.ids) - (len(draft) - right))
        return best[: right + 1]

    def _read(self, session: Session, ids: Sequence[int], last: int) -> list[int]:
        """Append `ids` to the session and return the best next token after each of the `last` ones."""
        tokens = torch.tensor([list(ids)], device=self._model.device)
        best: list[int] = self._pass(session, tokens, last)[0].tolist()
        session.ids.extend(ids)
        return best

    def _pass(self, session: Session, tokens: torch.Tensor, last: int, **inputs: torch.Tensor) -> torch.Tensor:
        """Best next tokens, shape (rows, last), after the `last` ones of `tokens`, shape (rows, tokens)."""
        with torch.inference_mode():
            logits = self._model(
                input_ids=tokens, past_key_values=session.cache, use_cache=True, logits_to_keep=last, **inputs
            ).logits
            top = logits.max(dim=-1)
        if not bool(torch.isfinite(top.values).all()):
            self._kept.clear()
            raise DeskmateError(
                "the model computed values that are not finite; its weights or the adapter are damaged, "
                "or it needs dtype float32"
            )
        best: torch.Tensor = top.indices
        return best

    def _resume(self, prompt: Sequence[int]) -> Session:
        """A session that holds the longest known beginning of `prompt`, at most all but its last token."""
        mine = [kept for kept in self._kept if kept.under == self.under]
        best = max(mine, key=lambda kept: common_prefix(kept.ids, prompt), default=None)
        if best is None:
            return Session(self._layers, self.under)
        length = min(common_prefix(best.ids, prompt), max(len(prompt) - 1, 0))
        if length < len(best.ids):
            return best.copy_prefix(length)  # a few milliseconds, and the other conversation keeps its own
        self._kept.remove(best)
        return best

    def _keep(self, session: Session) -> None:
        """Keep a session for later prompts, the latest first, and drop the oldest ones over the limit."""
        if not session.ids or not session.whole:
            return
        self._kept.insert(0, session)
        while len(self._kept) > 1 and sum(len(kept.ids) for kept in self._kept) > KEPT_TOKENS:
            self._kept.pop()


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
