"""Keeps the memory that a training step frees for the next step, and returns it after the last: memory from the system costs a page fault for every
4 KiB."""

from __future__ import annotations

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
"""Parameter numbers of glibc, from malloc.h."""


def keep_freed_memory() -> None:
    """From now on, this process returns no memory by itself. No effect without glibc."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        # One heap for all threads, large tensors included; it grows by 256 MiB at a time and never shrinks.
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TOP_PAD, 1 << 28), (M_TRIM_THRESHOLD, 2**31 - 1)):
            allocator.mallopt(parameter, value)


def return_freed_memory() -> None:
    """Free what only cycles refer to, and return all free memory: to the system, and on GPUs to whoever uses them next."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(0)
