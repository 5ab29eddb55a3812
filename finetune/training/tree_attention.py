"""Attention for packs: each group by itself, its prefix causal, its branches on the prefix and on themselves.

A leaf around torch. No mask of the whole sequence is ever made, so what the groups do not see of each other costs
nothing. On a processor the products are written out in blocks of queries: forward and backward of 1,100 tokens of
SmolLM2 take 40 % of the time of torch's own kernel with a mask (docs/log.md).
"""

from functools import partial
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from finetune.training.packing import Pack

NAME = "deskmate-tree"
"""How transformers knows this attention."""

BLOCK = 256
"""Queries that are multiplied at a time on a processor: above the diagonal at most this many are in vain."""

Span = tuple[int, int, torch.Tensor]
"""A group: tokens of its prefix, tokens of its branches, and what each branch token sees of the group (True: sees)."""


def tensors(pack: Pack) -> dict[str, Any]:
    """A pack as the model takes it.

    Returns:
        `input_ids` and `position_ids` of shape (1, tokens); `tree`, the spans; `logits_to_keep`, the positions whose
        next token the loss is taken on; `targets`, these next tokens.
    """
    ids: list[int] = []
    positions: list[int] = []
    keep: list[int] = []
    targets: list[int] = []
    spans: list[Span] = []
    for group in pack.groups:
        begin, prefix = len(ids), group.prefix
        ids += group.samples[0].prompt[:prefix]
        lengths = []
        for sample in group.samples:
            ids += sample.prompt[prefix:] + sample.completion
            keep += range(len(ids) - len(sample.completion) - 1, len(ids) - 1)
            targets += sample.completion
            lengths.append(len(sample) - prefix)
        positions += range(prefix)
        for length in lengths:
            positions += range(prefix, prefix + length)
        if len(lengths) == 1:
            spans.append((len(ids) - begin, 0, torch.empty(0, 0, dtype=torch.bool)))
        else:
            spans.append((prefix, sum(lengths), _sees(prefix, lengths)))
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "logits_to_keep": torch.tensor(keep),
        "targets": torch.tensor(targets),
        "tree": spans,
    }


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    tree: list[Span],
    scaling: float,
    softcap: float | None = None,
    **_other: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each span; what transformers calls in place of its own attention.

    Args:
        module: the layer.
        query: (1, heads, tokens, width).
        key: (1, key heads, tokens, width); `value` likewise.
        value: see `key`.
        attention_mask: None; the spans say it all.
        tree: the spans, in order.
        scaling: what scores are multiplied with.
        softcap: Gemma 2 bends scores to this limit.
        **_other: what else models hand to their attention. A sliding window is longer than any row
            (`finetune.training.checks`).

    Returns:
        (1, tokens, heads, width), and no weights.
    """
    sizes = [size for prefix, rest, _ in tree for size in (prefix, rest)]
    parts = zip(*(torch.split(t, sizes, dim=2) for t in (query, key, value)), strict=True)  # one cat going back
    attend = _fused if query.is_cuda and softcap is None else partial(_written_out, softcap=softcap)
    out = []
    for _, rest, sees in tree:  # each takes two parts
        (q, k, v), (qs, ks, vs) = next(parts), next(parts)
        if q.shape[2]:
            out.append(attend(q, k, v, None, scaling))
        if rest:
            out.append(attend(qs, torch.cat((k, ks), 2), torch.cat((v, vs), 2), sees, scaling))
    return torch.cat(out, 2).transpose(1, 2), None


def _sees(prefix: int, lengths: list[int]) -> torch.Tensor:
    """For the branches' tokens: the whole prefix, and of the branches what comes before in the same one."""
    branch = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mine = (branch[:, None] == branch[None]).tril()
    return torch.cat((torch.ones(len(mine), prefix, dtype=torch.bool), mine), 1)


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sees: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """Torch's own kernels: flash attention where the mask is plainly causal."""
    grouped = q.shape[1] != k.shape[1]
    return scaled_dot_product_attention(
        q, k, v, attn_mask=sees, is_causal=sees is None, scale=scaling, enable_gqa=grouped
    )


def _written_out(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sees: torch.Tensor | None, scaling: float, softcap: float | None
) -> torch.Tensor:
    """Softmax of products, block by block of queries; keys after a causal block are left out."""
    q = q * scaling
    if sees is not None:
        return _block(q, k, v, _bias(sees, q), softcap)
    out = []
    for begin, block in zip(range(0, q.shape[2], BLOCK), torch.split(q, BLOCK, 2), strict=True):
        end = begin + block.shape[2]
        sees = torch.ones(end - begin, end, dtype=torch.bool, device=q.device).tril(begin)
        out.append(_block(block, k[:, :, :end], v[:, :, :end], _bias(sees, q), softcap))
    return torch.cat(out, 2)


def _bias(sees: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """What is added to scores: minus infinity where nothing is seen."""
    return torch.zeros_like(sees, dtype=q.dtype).masked_fill_(~sees, float("-inf"))


def _block(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor, softcap: float | None
) -> torch.Tensor:
    """Attend. The query heads that share a key head are one matrix."""
    _, heads, length, width = q.shape
    sharing = heads // k.shape[1]
    q, keys, bias = q.reshape(-1, sharing * length, width), k[0].transpose(1, 2), bias.repeat(sharing, 1)
    if softcap is None:
        scores = torch.baddbmm(bias, q, keys)
    else:
        scores = torch.tanh(torch.bmm(q, keys) / softcap) * softcap + bias
    return torch.bmm(torch.softmax(scores, -1), v[0]).view(1, heads, length, width)
