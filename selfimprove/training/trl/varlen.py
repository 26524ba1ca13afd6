"""Torch's attention for rows of different lengths laid end to end, as an attention implementation of transformers. It needs a GPU.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import varlen
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import flash_attention_mask

NAME = "torch_varlen"
"""The name for `attn_implementation`."""

PLAIN = frozenset({"llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"})
"""Model types whose attention is the softmax of scaled products and nothing else."""


def varlen_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row.

    Query, key and value are [1, heads, tokens, size]; row i has the tokens from `cu_seq_lens_q[i]` to `cu_seq_lens_q[i + 1]`, of which there are at
    most `max_length_q`. Norms of queries and keys compute in float32, which the kernel does not take: both get the type of the values.
    """
    query, key, value = (states[0].transpose(0, 1).to(value.dtype) for states in (query, key, value))
    mixed: Any = varlen.varlen_attn(
        query,
        key,
        value,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1 if sliding_window is None else sliding_window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return mixed.unsqueeze(0), None


AttentionInterface.register(NAME, varlen_attention)
AttentionMaskInterface.register(NAME, flash_attention_mask)
