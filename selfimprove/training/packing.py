"""Lays the rows of a step end to end, so that no padding is computed, and gives attention the rows apart again.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SHORT = 256
"""Tokens of the longest row up to which two matrix products beat the fused attention on a CPU, whose backward is slow for short rows."""


def pack(examples: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """One step's `input_ids` and `labels` (-100: no loss) as tensors [1, tokens], and what `packed_attention` needs.

    `slots` [tokens] is where each token stands when rows are padded to the longest; `grid` is (rows, tokens of the longest).
    """
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    longest = int(lengths.max())
    positions = torch.cat([torch.arange(length) for length in lengths.tolist()])
    return {
        "input_ids": torch.tensor([token for example in examples for token in example["input_ids"]])[None],
        "labels": torch.tensor([token for example in examples for token in example["labels"]])[None],
        "position_ids": positions[None],
        "slots": torch.repeat_interleave(torch.arange(len(examples)) * longest, lengths) + positions,
        "grid": (len(examples), longest),
    }


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slots: Tensor,
    grid: tuple[int, int],
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row, in the form transformers asks of an attention implementation.

    Query, key and value are [1, heads, tokens, size]. Rows are padded on the right, where causal attention never looks, so that no mask is needed.
    """
    query, key, value = (_spread(states, slots, grid) for states in (query, key, value))
    if query.device.type == "cpu" and grid[1] <= SHORT and not dropout:
        mixed = _grouped_attention(query, key, value, scaling)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout, scale=scaling, enable_gqa=True)
    return _Gather.apply(mixed.transpose(1, 2).flatten(2).flatten(0, 1), slots)[None], None  # type: ignore[no-untyped-call]


def _spread(states: Tensor, slots: Tensor, grid: tuple[int, int]) -> Tensor:
    """[1, heads, tokens, size] to [rows, heads, longest, size]; zeros where a row has ended."""
    tokens = states[0].transpose(0, 1)
    padded = tokens.new_zeros(grid[0] * grid[1], *tokens.shape[1:]).index_copy(0, slots, tokens)
    return padded.view(*grid, *tokens.shape[1:]).transpose(1, 2)


class _Gather(torch.autograd.Function):
    """`values[slots]` for distinct slots: the backward copies, where that of indexing adds one row after the other."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.size = values.shape
        return values.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.size).index_copy_(0, slots, gradient), None


def _grouped_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Attention as two batched products; the query heads that share a key head are rows of one product, so that keys are not repeated."""
    rows, heads, longest, size = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    later = torch.full((longest, longest), float("-inf"), dtype=query.dtype).triu(1).repeat(group, 1)
    queries = query.reshape(rows * key_heads, group * longest, size)
    keys, values = key.reshape(rows * key_heads, longest, size), value.reshape(rows * key_heads, longest, size)
    weights = torch.baddbmm(later, queries, keys.transpose(1, 2), alpha=scaling).softmax(-1)
    return torch.bmm(weights, values).view(rows, heads, longest, size)
