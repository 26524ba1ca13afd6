"""How a run joins Ray: a local cluster, whose vital processes are watched, or the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from selfimprove.errors import UserError, WorkerFailed

Answer = TypeVar("Answer")

VITAL = ("gcs_server", "raylet")
"""Processes without which a local cluster does no work. Ray itself waits minutes for them, and then ends the driver."""


class VitalProcesses:
    """The vital processes of a local cluster. There are none of a cluster that was not started here, and nothing is watched."""

    def __init__(self, processes: Mapping[str, Any]) -> None:
        """`processes` by name, as `subprocess` knows them."""
        self._processes = processes

    def require_alive(self) -> None:
        """Do nothing while the local cluster lives; one that was not started here is not watched.

        Raises:
            WorkerFailed: one of its own processes has ended.
        """
        if ended := self.ended():
            name, code = ended
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise WorkerFailed(
                f"the local Ray cluster is lost: its {name} {how}; if this machine ran out of memory, free some: "
                "the same command continues where it stopped"
            )

    def answer(self, ask: Callable[[], Answer]) -> Answer:
        """What a function returns that asks Ray's head.

        Without its head Ray waits a minute for an answer and then ends this process without a word, so that with a local cluster a thread asks.

        Raises:
            WorkerFailed: the local cluster was lost meanwhile.
        """
        if not self._processes:
            return ask()
        answer: Future[Answer] = Future()
        threading.Thread(target=_fulfil, args=(answer, ask), daemon=True).start()
        while not wait([answer], timeout=1.0).done:
            self.require_alive()
        return answer.result()

    def ended(self) -> tuple[str, int] | None:
        """A vital process of the local cluster that has ended, and its exit code."""
        codes = ((name, process.poll()) for name, process in self._processes.items())
        return next(((name, code) for name, code in codes if code is not None), None)

    def kill(self) -> None:
        """End those that are left."""
        for process in self._processes.values():
            process.kill()


def connect() -> VitalProcesses:
    """Join the cluster that `RAY_ADDRESS` names, or start a local one; returns the vital processes of a local one."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # Ray's switch for clusters of this machine alone, which keeps every port on loopback. It has no public name.
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
        try:
            ray.init(address="local", include_dashboard=False, object_store_memory=256 << 20, **quiet)
        except Exception as error:  # From a plain Exception after a timeout to errors of files, sockets and its own.
            ray.shutdown()
            raise WorkerFailed(
                f"the local Ray cluster did not start: {_first_line(error)}; check the room in /tmp and /dev/shm and the load of this machine, "
                "or see the logs in /tmp/ray/session_latest/logs"
            ) from error
        processes = ray._private.worker._global_node.all_processes
        return VitalProcesses({name: one.process for name in VITAL for one in processes.get(name, ())})
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():
            # Without an answer Ray tries for two minutes and then ends this process.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, **quiet)
        return VitalProcesses({})
    except RuntimeError as error:
        raise UserError(f"the Ray cluster at RAY_ADDRESS={address} cannot be joined: {_first_line(error)}; correct it, or unset it") from error
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}: start one with `ray start --head`, or unset it") from error


def _fulfil(answer: Future[Answer], ask: Callable[[], Answer]) -> None:
    try:
        answer.set_result(ask())
    except BaseException as error:
        answer.set_exception(error)


def _first_line(error: Exception) -> str:
    return next((line.strip(" .") for line in str(error).splitlines() if line.strip()), type(error).__name__)
