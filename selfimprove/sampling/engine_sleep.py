"""Puts a vLLM engine to sleep and wakes it, so that another part uses its GPU meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.protocols.worker_part import ROLE

KEEP, DISCARD = 1, 2
"""vLLM's levels of sleep: the weights move to host memory, or are forgotten. The cache of keys and values is forgotten in both."""
OPTION = "gpu_memory_utilization in the engine's settings"
HOLDER = re.compile(r"process\s+(\d+) uses\s+([\d.]+) MB")
"""A line of `torch.cuda.list_gpu_processes`."""


def sleep(llm: Any, same_weights: bool) -> int:
    """Free the GPU memory of an engine that can sleep; returns the level, 0 for an engine that cannot.

    Args:
        same_weights: Whether it goes on with the weights that it holds.
    """
    config = llm.llm_engine.vllm_config
    if not config.model_config.enable_sleep_mode:
        return 0
    # The weights of a speculative draft are in no checkpoint, so they could not be read again.
    level = KEEP if same_weights or config.speculative_config is not None else DISCARD
    llm.sleep(level=level)
    return level


def wake(llm: Any, load: Callable[[], None] | None) -> None:
    """Take the memory back: weights first, then the cache. Between them, `load` fills the weights; None if the engine kept those that it needs.

    Raises:
        UserError: the memory is not free; names the processes that hold it.
    """
    with named_holders("wake"):
        llm.wake_up(tags=["weights"])
        if load:
            load()
        llm.wake_up(tags=["kv_cache"])


@contextmanager
def named_holders(what: str) -> Iterator[None]:
    """Turn a failure for want of GPU memory in the block into one line that names who holds the memory.

    Raises:
        UserError: there was not enough.
    """
    try:
        yield
    except Exception as error:
        if "memory" not in str(error).lower() or not (held := holders()):
            raise
        why = next((line.strip() for line in str(error).splitlines() if "memory" in line.lower()), "")
        raise UserError(f"vLLM cannot {what}: {why[:200]}; its GPU is held by {held}: end what should not be there, or lower {OPTION}") from error


def holders() -> str:
    """The processes on the GPUs of this process with their memory, those that hold most first; empty where they cannot be listed."""
    import torch

    listed = ""
    for device in range(torch.cuda.device_count()):
        # NVML hides processes of other containers and fails without a driver, each in a way of its own.
        with suppress(Exception):
            listed += torch.cuda.list_gpu_processes(device) + "\n"
    found = sorted(((float(megabytes), int(process)) for process, megabytes in HOLDER.findall(listed)), reverse=True)
    return ", ".join(f"process {process} ({_role(process)}) with {megabytes / 1024:.1f} GiB" for megabytes, process in found)


def _role(process: int) -> str:
    """What the process is there for: a role of a run, or the name of its program."""
    try:
        environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        named = next((entry.partition(b"=")[2] for entry in environment if entry.startswith(f"{ROLE}=".encode())), None)
        return (named or Path(f"/proc/{process}/comm").read_bytes()).decode(errors="replace").strip()
    except OSError:
        return "of another user or container"
