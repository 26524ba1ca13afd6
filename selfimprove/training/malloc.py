"""Keeps memory that a training step has freed for the next one: from the system it would come back at a page fault every 4 KiB."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
"""glibc's numbers, from malloc.h."""


def keep_freed_memory() -> None:
    """From now on this process returns no memory by itself; without glibc nothing changes."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        # One heap for all threads, no blocks of their own for large tensors, grown by 256 MiB at a time and never cut.
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TOP_PAD, 1 << 28), (M_TRIM_THRESHOLD, 2**31 - 1)):
            allocator.mallopt(parameter, value)


def return_freed_memory() -> None:
    """Give back to the system what is free now."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(0)
