"""Lays the rows of a step end to end, with their shared beginning only once. Nothing is computed twice or for padding; attention keeps rows apart.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types in which only causal attention mixes tokens, and whose logits are the plain output of the head."""

SHORT = 256
"""Length of the longest row up to which two matrix products beat fused attention on a CPU, whose backward pass is slow for short rows."""


def pack(examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The `input_ids`, `labels` (-100: no loss) and, if any, `weights` of one step as tensors [1, tokens], and the arguments of `packed_attention`.

    The shared beginning of all prompts (system prompt, question template) comes once, before the rest of each row: causal attention computes the same
    for it in every row. `slots` [tokens] is the place of each token when rows are padded to the longest, shared tokens in the first row; `grid` is
    (rows, tokens of the longest row, shared tokens); `row_tokens` counts the tokens of all rows, shared ones in each.
    """
    shared = shared_beginning(examples)
    lengths = torch.tensor([len(example["input_ids"]) - shared for example in examples])
    longest = int(lengths.max()) + shared
    own = torch.cat([torch.arange(shared, shared + length) for length in lengths.tolist()])
    beginning = torch.arange(shared)

    def once(name: str) -> Tensor:
        return torch.tensor([*examples[0][name][:shared], *(token for example in examples for token in example[name][shared:])])[None]

    return {
        "input_ids": once("input_ids"),
        "labels": once("labels"),
        **({"weights": once("weights")} if "weights" in examples[0] else {}),
        "position_ids": torch.cat([beginning, own])[None],
        "slots": torch.cat([beginning, torch.repeat_interleave(torch.arange(len(examples)) * longest, lengths) + own]),
        "grid": (len(examples), longest, shared),
        "row_tokens": int(lengths.sum()) + shared * len(examples),
    }


def shared_beginning(examples: Sequence[dict[str, list[int]]]) -> int:
    """Number of tokens that all rows begin with, excluding the last prompt token of each, which predicts its own completion. 0 for one row."""
    if len(examples) == 1:
        return 0
    first = examples[0]["input_ids"]
    prompts = (next((place for place, label in enumerate(example["labels"]) if label != -100), len(example["labels"])) for example in examples)
    most = max(0, min(prompts) - 1)
    return next((place for place in range(most) if any(example["input_ids"][place] != first[place] for example in examples)), most)


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slots: Tensor,
    grid: tuple[int, int, int],
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row, as an attention implementation of transformers.

    Query, key and value are [1, heads, tokens, size]. Rows are padded on the right, where causal attention never looks, so no mask is needed.
    """
    query, key, value = (_spread(states, slots, grid) for states in (query, key, value))
    if query.device.type == "cpu" and grid[1] <= SHORT and not dropout:
        mixed = _grouped_attention(query, key, value, scaling)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout, scale=scaling, enable_gqa=True)
    return _Gather.apply(mixed.transpose(1, 2).flatten(2).flatten(0, 1), slots)[None], None  # type: ignore[no-untyped-call]


def _spread(states: Tensor, slots: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """[1, heads, tokens, size] to [rows, heads, longest, size], with zeros after the end of a row."""
    rows, longest, shared = grid
    tokens = states[0].transpose(0, 1)
    padded = tokens.new_zeros(rows * longest, *tokens.shape[1:]).index_copy(0, slots, tokens).view(rows, longest, *tokens.shape[1:])
    if shared:
        padded = torch.cat([padded[:1, :shared].expand(rows, *[-1] * (padded.dim() - 1)), padded[:, shared:]], dim=1)
    return padded.transpose(1, 2)


class _Gather(torch.autograd.Function):
    """`values[slots]` for distinct slots. The backward pass copies; that of indexing would add row by row."""

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
    """Attention as two batched products. Query heads that share a key head are rows of one product, so keys are not repeated."""
    rows, heads, longest, size = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    later = torch.full((longest, longest), float("-inf"), dtype=query.dtype).triu(1).repeat(group, 1)
    queries = query.reshape(rows * key_heads, group * longest, size)
    keys, values = key.reshape(rows * key_heads, longest, size), value.reshape(rows * key_heads, longest, size)
    weights = torch.baddbmm(later, queries, keys.transpose(1, 2), alpha=scaling).softmax(-1)
    return torch.bmm(weights, values).view(rows, heads, longest, size)
