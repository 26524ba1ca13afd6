"""An engine in a process of its own, which ends with the process that started it."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Any

OWNER = "SELFIMPROVE_ENGINE_OWNER"
"""Environment variable with the machine and the process that an engine belongs to."""


def own_engines() -> str:
    """Make this process the owner of the engines that it starts from now on; returns the `worker_extension_cls` that they need."""
    os.environ[OWNER] = f"{socket.gethostname()} {os.getpid()}"
    return f"{__name__}.EngineProcess"


class EngineProcess:
    """What vLLM adds to the class of its workers: vLLM itself leaves the engine running when its owner is killed."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Watch the owner from before the weights are loaded."""
        import torch

        # As in `sampling.open_vllm`: AMX may not be enabled yet.
        torch.cpu._init_amx()
        host, _, process = os.environ.get(OWNER, "").partition(" ")
        # Workers of an engine on several machines end with the worker beside the owner.
        if host == socket.gethostname():
            threading.Thread(target=_end_with, args=(int(process),), name="end-with-owner", daemon=True).start()
        return super().__new__(cls)


def _end_with(process: int) -> None:
    """End this process as soon as that one ends."""
    try:
        owner = os.pidfd_open(process)
    except ProcessLookupError:
        os._exit(1)
    select.select([owner], [], [])
    os._exit(1)
