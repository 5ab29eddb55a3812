"""Keys and values of what a model has read, in buffers that grow, shrink and are copied cheaply. A leaf around torch."""

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class GrowingLayer(DynamicLayer):
    """A cache layer that writes into a buffer with room to spare.

    `DynamicLayer` concatenates, which copies the whole cache for every token (13 % of the time of a token here,
    more in batches) and for every rollback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, shape (batch, heads, tokens, head dimension), and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            self._grow(key_states, value_states, start, end)
        assert self._room is not None
        self._room[0][..., start:end, :] = key_states
        self._room[1][..., start:end, :] = value_states
        self._show(end)
        return self.keys, self.values

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; their room is used again."""
        if tokens_to_remove and self._room is not None:
            self._show(self.get_seq_length() - abs(tokens_to_remove))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows of the batch."""
        super().batch_select_indices(indices)
        self._room = (self.keys, self.values)

    def _grow(self, keys: torch.Tensor, values: torch.Tensor, start: int, end: int) -> None:
        room = end + max(128, end // 4)
        old, self._room = self._room, tuple(t.new_empty((*t.shape[:2], room, t.shape[-1])) for t in (keys, values))
        if old is not None:
            for new, before in zip(self._room, old, strict=True):
                new[..., :start, :] = before[..., :start, :]

    def _show(self, end: int) -> None:
        assert self._room is not None
        self.keys, self.values = self._room[0][..., :end, :], self._room[1][..., :end, :]


class Session:
    """Token ids with their keys and values. `ids` and the cache always hold the same tokens between passes."""

    def __init__(self, layers: int) -> None:
        self.ids: list[int] = []
        self.cache = Cache(layers=[GrowingLayer() for _ in range(layers)])

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.cache.crop(length - len(self.ids))
        del self.ids[length:]

    def copy_prefix(self, length: int, rows: int = 1) -> "Session":
        """A session of its own that begins with the same `length` tokens, repeated for `rows` of a batch."""
        copy = Session(len(self.cache.layers))
        copy.ids = self.ids[:length]
        if length:
            for mine, theirs in zip(self.cache.layers, copy.cache.layers, strict=True):
                shape = (rows, -1, -1, -1)
                theirs.update(mine.keys[..., :length, :].expand(shape), mine.values[..., :length, :].expand(shape))
        return copy
