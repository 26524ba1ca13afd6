"""An engine in a process of its own, which ends with the process that started it."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from typing import Any

OWNER = "SELFIMPROVE_ENGINE_OWNER"
"""Environment variable with the machine and the process that an engine belongs to."""


def own_engines() -> str:
    """Make this process the owner of the engines that it starts from now on; returns the `worker_extension_cls` that they need."""
    os.environ[OWNER] = f"{socket.gethostname()} {os.getpid()}"
    ray = sys.modules.get("ray")
    if not (ray and ray.is_initialized()):
        # A forked process would lack the threads of this one. In a Ray actor vLLM itself spawns, and tells the process where the cluster is.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    return f"{__name__}.EngineProcess"


class EngineProcess:
    """What vLLM adds to the class of its workers: vLLM itself leaves the engine running when its owner is killed."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Watch the owner from before the weights are loaded. An engine whose owner was killed before gives up after vLLM's five minutes."""
        import torch

        # As in `sampling.open_vllm`: AMX may not be enabled yet.
        torch.cpu._init_amx()
        host, _, process = os.environ.get(OWNER, "").partition(" ")
        # Workers of an engine on several machines end with the worker beside the owner.
        if host == socket.gethostname():
            threading.Thread(target=_end_with, args=(int(process),), name="end-with-owner", daemon=True).start()
        return super().__new__(cls)


def wait_for_end(process: int) -> None:
    """Return when the process has ended."""
    try:
        running = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        select.select([running], [], [])
    finally:
        os.close(running)


def _end_with(process: int) -> None:
    """End this process as soon as that one ends."""
    wait_for_end(process)
    os._exit(1)
