"""The number type that models compute in.

Imports torch: to be imported where models are loaded.
"""

from __future__ import annotations

import torch


def fast_at_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 fast: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def computing_type() -> torch.dtype:
    """bfloat16 where the machine multiplies it fast, else float32."""
    return torch.bfloat16 if fast_at_bfloat16() else torch.float32
