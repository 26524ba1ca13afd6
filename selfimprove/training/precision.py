"""The number type that models compute in.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

import torch


def computing_type() -> torch.dtype:
    """bfloat16 where the machine multiplies it fast, else float32."""
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32
