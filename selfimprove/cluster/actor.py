"""The body of a Ray actor: one open part, its heartbeat, and its end when the cluster loses its head node."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfimprove.cluster.gpu_memory import held
from selfimprove.terminal.log_stream import LogStream


class PartActor:
    """One open part in a process of its own."""

    def __init__(self, part: Any, role: str, log_folder: str | None) -> None:
        _send_output_to(log_folder, role)
        threading.Thread(target=_end_with, args=(os.getppid(),), name="end-with-raylet", daemon=True).start()
        # Ray gives an actor as many OpenMP threads as it reserves CPUs; stages take turns, so each may use the whole machine.
        os.environ["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
        self._opened = part.open()
        self._note("opened")

    def call(self, method: str, arguments: tuple[object, ...]) -> Any:
        """Run a method of the part."""
        self._note(f"began {method}")
        result = getattr(self._opened, method)(*arguments)
        self._note(f"ended {method}")
        return result

    def stream(self, method: str, arguments: tuple[object, ...]) -> Iterator[Any]:
        """Run a generator method of the part."""
        self._note(f"began {method}")
        # Not `yield from`: Ray calls `send` on its generators, which not every iterator has.
        for number, item in enumerate(getattr(self._opened, method)(*arguments), start=1):
            yield item
            self._note(f"handed over batch {number} of {method}")

    def gpu_memory(self) -> int | None:
        """Bytes of GPU memory that torch holds in this process; None where it has not used a GPU."""
        return held()

    def heartbeat(self) -> str:
        """The last thing it did, and how long ago. Answers from its own thread while others work."""
        return f"process {os.getpid()} {self._did} {time.monotonic() - self._when:.0f} s ago"

    def _note(self, did: str) -> None:
        self._did, self._when = did, time.monotonic()


def _end_with(parent: int) -> None:
    """End this process soon after its parent, Ray's daemon. Otherwise a computing process would outlive the cluster's head node."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _send_output_to(log_folder: str | None, role: str) -> None:
    """Write what libraries print into the run folder, if this machine can reach it."""
    if log_folder and Path(log_folder).is_dir():
        stream = (Path(log_folder) / f"{role}.log").open("a")
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
        sys.stdout, sys.stderr = LogStream(sys.stdout.fileno()), LogStream(sys.stderr.fileno())
