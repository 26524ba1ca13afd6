"""Parts run in Ray actors: on a local cluster that ends with the run, or on the one that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from selfimprove.cluster.dispatch import MOST_CALLS
from selfimprove.cluster.ray_worker import RayWorker
from selfimprove.errors import UserError
from selfimprove.protocols import WorkerPart


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
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect()
        for module in ship:
            ray.cloudpickle.register_pickle_by_value(module)

    def open(self, role: str, part: WorkerPart) -> RayWorker:
        """The actors of this part, opened once. Those of another part in this role end first.

        Raises:
            UserError: the cluster can never provide what the part reserves.
        """
        if role in self._workers:
            known, worker = self._workers[role]
            if known == part:
                return worker
            self.end(known)
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
        worker = RayWorker(role, options, (part, role, log_folder), resources.copies, self._deadline, self._retries)
        self._workers[role] = part, worker
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
        """End the actors of this part, if any, and free what they reserved."""
        for role in [role for role, (known, _) in self._workers.items() if known == part]:
            self._workers.pop(role)[1].close()

    def close(self) -> None:
        """End every actor, and the local cluster if it was started here."""
        import ray

        while self._workers:
            self._workers.popitem()[1][1].close()
        if self._owned and ray.is_initialized():
            ray.shutdown()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _connect() -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # Ray's switch for clusters of this machine alone, which keeps every port on loopback. It has no public name.
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
        ray.init(address="local", include_dashboard=False, object_store_memory=256 << 20, **quiet)
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():
            # Without an answer Ray tries for two minutes and then ends this process.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, **quiet)
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}: start one with `ray start --head`, or unset it") from error
