"""Parts run in Ray actors: on a local cluster that ends with the run, or on the one that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from selfimprove.cluster.dispatch import MOST_CALLS
from selfimprove.cluster.ray_worker import RayWorker
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.protocols import WorkerPart
from selfimprove.terminal.log_stream import redact_log

VITAL = ("gcs_server", "raylet")
"""Processes without which a local cluster does no work. Ray itself waits minutes for them, and then ends the driver."""


class RayCluster(AbstractContextManager["RayCluster"]):
    """A cluster that opens parts in Ray actors; a context manager that ends what it started.

    Args:
        log_folder: Folder for what the actors' libraries print; None leaves it to Ray.
        ship: Modules that workers cannot import, such as a workflow file loaded by its path.
        deadline: Seconds without a result after which a worker fails. One that does not answer is killed after a third of that, and its call is
            run again.
        retries: Number of times that a call is run again after its worker died.
    """

    def __init__(self, log_folder: Path | None = None, ship: Iterable[Any] = (), deadline: float = 900.0, retries: int = 2) -> None:
        import ray

        self._log_folder, self._deadline, self._retries = log_folder, deadline, retries
        self._workers: dict[str, tuple[WorkerPart, RayWorker]] = {}
        self._roles: set[str] = set()
        self._changing = threading.RLock()
        self._owned = not ray.is_initialized()
        self._vital = _connect() if self._owned else {}
        for module in ship:
            ray.cloudpickle.register_pickle_by_value(module)

    def open(self, role: str, part: WorkerPart) -> RayWorker:
        """The actors of this part, opened once. Those of another part in this role end first.

        Raises:
            UserError: the cluster can never provide what the part reserves.
            WorkerFailed: the local cluster has lost one of its own processes.
        """
        self.require_alive()
        with self._changing:
            if role in self._workers:
                known, worker = self._workers[role]
                if known == part:
                    return worker
                self.end(known)
            return self._start(role, part)

    def _start(self, role: str, part: WorkerPart) -> RayWorker:
        resources = part.resources
        gpus = self._gpus(part)
        options: dict[str, Any] = {
            "num_cpus": resources.cpus,
            "num_gpus": gpus,
            "max_concurrency": MOST_CALLS + 1,
            # By default Ray fills one node before it uses the next.
            "scheduling_strategy": "SPREAD" if resources.copies > 1 else "DEFAULT",
            "runtime_env": {"env_vars": part.environment()},
        }
        self._require_room(role, part)
        log_folder = str(self._log_folder.resolve()) if self._log_folder else None
        worker = RayWorker(role, options, (part, role, log_folder), resources.copies, self._deadline, self._retries, self.require_alive)
        self._workers[role] = part, worker
        self._roles.add(role)
        return worker

    def _require_room(self, role: str, part: WorkerPart) -> None:
        """Refuse a part that the cluster can never hold: its actor would wait for ever. `SELFIMPROVE_AUTOSCALE` allows for nodes on demand."""
        import ray

        total = ray.cluster_resources()
        parts = [(each, each.resources) for each in [*(known for known, _ in self._workers.values()), part]]
        reserved = {
            "CPU": sum(resources.copies * resources.cpus for _, resources in parts),
            "GPU": sum(resources.copies * self._gpus(each) for each, resources in parts),
        }
        for name, amount in reserved.items():
            if amount > total.get(name, 0.0) and not os.environ.get("SELFIMPROVE_AUTOSCALE"):
                raise UserError(
                    f"with the {role} this run reserves {amount:g} {name}, but the cluster has {total.get(name, 0.0):g}; "
                    f"lower the parts' resources, or set SELFIMPROVE_AUTOSCALE=1 if nodes are started on demand"
                )

    def _gpus(self, part: WorkerPart) -> float:
        """GPUs of each copy. Ray reserves all GPUs of an actor at once and on one node, so no copy holds some while it waits for others."""
        import ray

        if part.resources.gpus is not None:
            return part.resources.gpus
        total = ray.cluster_resources().get("GPU", 0.0)
        return float(part.devices if part.devices > 1 and total else min(1.0, total / 2))

    def end(self, part: WorkerPart) -> None:
        """End the actors of this part, if any, and free what they reserved. Their calls in progress raise `WorkerFailed`."""
        with self._changing:
            for role in [role for role, (known, _) in self._workers.items() if known == part]:
                worker = self._workers.pop(role)[1]
                # With the cluster lost, no call would be answered.
                if not self._ended():
                    worker.close()

    def apart(self, role: str, part: WorkerPart) -> bool:
        """Whether one of the two parts has whole GPUs to itself, or is set to use none (`gpus=0`)."""
        known, _ = self._workers[role]
        return 0 in (known.resources.gpus, part.resources.gpus) or max(self._gpus(known), self._gpus(part)) >= 1

    def require_alive(self) -> None:
        """Do nothing while the local cluster lives; one that was not started here is not watched.

        Raises:
            WorkerFailed: one of its own processes has ended.
        """
        if ended := self._ended():
            name, code = ended
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise WorkerFailed(
                f"the local Ray cluster is lost: its {name} {how}; if this machine ran out of memory, free some: "
                "the same command continues where it stopped"
            )

    def _ended(self) -> tuple[str, int] | None:
        """A vital process of the local cluster that has ended, and its exit code."""
        codes = ((name, process.poll()) for name, process in self._vital.items())
        return next(((name, code) for name, code in codes if code is not None), None)

    def close(self) -> None:
        """End every actor, and the local cluster if it was started here; then redact the actors' logs."""
        import ray

        if self._ended():
            # No call would be answered, and one of the two would wait a minute for the other. The actors end with their raylet.
            self._workers.clear()
            for process in self._vital.values():
                process.kill()
        while self._workers:
            self._workers.popitem()[1][1].close()
        if self._owned and ray.is_initialized():
            ray.shutdown()
        if self._log_folder:
            for role in self._roles:
                redact_log(self._log_folder / f"{role}.log")

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _connect() -> dict[str, Any]:
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
        return {name: one.process for name in VITAL for one in processes.get(name, ())}
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():
            # Without an answer Ray tries for two minutes and then ends this process.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, **quiet)
        return {}
    except RuntimeError as error:
        raise UserError(f"the Ray cluster at RAY_ADDRESS={address} cannot be joined: {_first_line(error)}; correct it, or unset it") from error
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}: start one with `ray start --head`, or unset it") from error


def _first_line(error: Exception) -> str:
    return next((line.strip(" .") for line in str(error).splitlines() if line.strip()), type(error).__name__)
