"""Keys and values of what a model has read, in buffers that grow and shrink and are copied cheaply. A leaf."""

from typing import Any

import torch  # noqa: TID253  a leaf
from transformers.cache_utils import Cache, DynamicLayer  # noqa: TID253


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer that writes into a buffer with room to spare.

    `DynamicLayer` concatenates, which copies the whole cache for every token (13 % of the time of a token here,
    more in batches) and for every rollback.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room: list[torch.Tensor] = []  # keys and values, shape (batch, heads, room, head dimension)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, shape (batch, heads, tokens, head dimension), and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        fresh = (key_states, value_states)
        if not self._room or self._room[0].shape[-2] < end:
            old = self._room
            room = end + max(128, end // 4)
            self._room = [tensor.new_empty((*tensor.shape[:2], room, tensor.shape[-1])) for tensor in fresh]
            for new, before in zip(self._room, old, strict=False):  # nothing to copy the first time
                new[..., :start, :] = before[..., :start, :]
        for buffer, tensor in zip(self._room, fresh, strict=True):
            buffer[..., start:end, :] = tensor
        return self._show(end)

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; their room is used again."""
        if tokens_to_remove and self._room:
            self._show(self.get_seq_length() - abs(tokens_to_remove))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows of the batch."""
        self._room = [buffer[indices] for buffer in self._room]
        self._show(self.get_seq_length())

    def prefix(self, length: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first `length` tokens, repeated for `rows` of a batch; no copy yet."""
        keys, values = (buffer[..., :length, :].expand(rows, -1, -1, -1) for buffer in self._room)
        return keys, values

    def _show(self, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (buffer[..., :end, :] for buffer in self._room)
        self.keys, self.values = keys, values
        return keys, values


class Session:
    """Token ids with their keys and values. `ids` and the cache always hold the same tokens between passes.

    `under` names the weights that computed them: keys and values of one adapter are nonsense under another.
    """

    def __init__(self, layers: int, under: str = "") -> None:
        self.ids: list[int] = []
        self.under = under
        self._layers = [GrowingLayer() for _ in range(layers)]
        self.cache = Cache(layers=list(self._layers))

    @property
    def whole(self) -> bool:
        """Whether ids and keys agree in every layer: not so when a pass was interrupted half-way."""
        return all(layer.get_seq_length() == len(self.ids) for layer in self._layers)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        for layer in self._layers:
            layer.crop(length - len(self.ids))
        del self.ids[length:]

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these rows of a batch."""
        for layer in self._layers:
            layer.batch_select_indices(rows)

    def copy_prefix(self, length: int, rows: int = 1) -> "Session":
        """A session of its own that begins with the same `length` tokens, repeated for `rows` of a batch."""
        copy = Session(len(self._layers), self.under)
        copy.ids = self.ids[:length]
        if length:
            for mine, theirs in zip(self._layers, copy._layers, strict=True):
                theirs.update(*mine.prefix(length, rows))
        return copy
