"""Keeps the memory that a training step frees for the next step, and returns it after the last: memory from the system costs a page fault for every
4 KiB."""

from __future__ import annotations

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
"""Parameter numbers of glibc, from malloc.h."""


class KeepsFreedMemory:
    """For a part whose worker calls `keep_freed_memory`: the environment in which that has its full effect."""

    def environment(self) -> dict[str, str]:
        """Settings that glibc and oneDNN read when the process starts.

        All threads share one heap: a training runs in a thread of its own, and what is freed in the heap of a thread goes back to the system. oneDNN
        keeps the kernels of the last 64 shapes, not of 1,024: each step has shapes of its own, and thousands of small kernels would lie between the
        large tensors, so that ever more memory is freed and too small to be used again.
        """
        return {"MALLOC_ARENA_MAX": "1", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}


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
