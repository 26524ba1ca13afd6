"""GPU memory that this process holds."""

from __future__ import annotations

import sys


def held() -> int | None:
    """Bytes that torch has reserved on the GPUs of this process; None where it has not used one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return sum(int(torch.cuda.memory_reserved(device)) for device in range(torch.cuda.device_count()))
