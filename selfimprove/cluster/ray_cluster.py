"""Parts run in Ray actors: on a local cluster that ends with the run, or on the one that `RAY_ADDRESS` names."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.cluster.dispatch import MOST_CALLS
from selfimprove.cluster.gpu_shares import SAMPLER, GPUShares, Roles, divide, nodes_on_demand
from selfimprove.cluster.ray_connection import VitalProcesses, connect
from selfimprove.cluster.ray_worker import RayWorker
from selfimprove.errors import UserError
from selfimprove.protocols import WorkerPart
from selfimprove.protocols.worker_part import ALONE, ROLE
from selfimprove.terminal.log_stream import redact_log


@dataclass(frozen=True)
class _Open:
    """An open part."""

    part: WorkerPart
    worker: RayWorker
    held: list[float]
    """GPUs of each of its processes."""


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
        self._workers: dict[str, _Open] = {}
        self._roles: set[str] = set()
        self._changing = threading.RLock()
        self._owned = not ray.is_initialized()
        self._vital = connect() if self._owned else VitalProcesses({})
        self._shares = GPUShares(gpus_of_nodes())
        for module in ship:
            ray.cloudpickle.register_pickle_by_value(module)

    def expect(self, roles: Roles) -> None:
        """Divide the GPUs among these parts. Parts that are open keep what they have.

        Raises:
            UserError: the cluster can never hold one of them.
        """
        self._shares = self._vital.answer(lambda: divide(roles, gpus_of_nodes()))

    def opened(self, role: str) -> RayWorker | None:
        """The open actors in this role; None if there are none."""
        return self._workers[role].worker if role in self._workers else None

    def open(self, role: str, part: WorkerPart) -> RayWorker:
        """The actors of this part, opened once. Those of another part in this role end first, and those that hold GPUs which this one needs.

        Raises:
            UserError: the cluster can never provide what the part reserves.
            WorkerFailed: the local cluster has lost one of its own processes.
        """
        self._vital.require_alive()
        with self._changing:
            if known := self._workers.get(role):
                if known.part == part:
                    if part.starts_workers:
                        self._make_room(role, part)
                    return known.worker
                self.end(known.part)
            return self._vital.answer(lambda: self._start(role, part))

    def _start(self, role: str, part: WorkerPart) -> RayWorker:
        self._make_room(role, part)
        self._require_cpus(role, part)
        resources, gpus = part.resources, self._shares.of(part)
        alone = {ALONE: "1"} if gpus >= 1 else {}
        options: dict[str, Any] = {
            "num_cpus": resources.cpus,
            "num_gpus": gpus,
            "max_concurrency": MOST_CALLS + 1,
            # By default Ray fills one node before it uses the next.
            "scheduling_strategy": "SPREAD" if resources.copies > 1 else "DEFAULT",
            # Ray has processes in stock for actors without an environment of their own.
            "runtime_env": {"env_vars": part.environment() | ({ROLE: role} | alone if gpus else {})},
        }
        log_folder = str(self._log_folder.resolve()) if self._log_folder else None
        worker = RayWorker(role, options, (part, role, log_folder), resources.copies, self._deadline, self._retries, self._vital.require_alive)
        self._workers[role] = _Open(part, worker, self._shares.held(part))
        self._roles.add(role)
        return worker

    def prepare(self, role: str, part: WorkerPart) -> None:
        """Start the actors of a part that is needed later, if there are GPUs for it beside the parts that are open."""
        if role not in self._workers and self._fits(role, part):
            self.open(role, part)

    def _fits(self, role: str, part: WorkerPart) -> bool:
        """Whether there are GPUs for the part beside those that other open parts hold."""
        needed = self._shares.needed(part)
        held = [one.held for name, one in self._workers.items() if name != role]
        return not needed or nodes_on_demand() or self._shares.fit([*held, needed])

    def _make_room(self, role: str, part: WorkerPart) -> None:
        """End parts that hold GPUs which this part needs, the sampler last. The next `open` starts them again.

        Raises:
            UserError: the cluster can never hold the part.
        """
        self._shares.require_room(role, part)
        while not self._fits(role, part):
            holding = [name for name, one in self._workers.items() if one.held and name != role]
            self._workers.pop(next((name for name in holding if name != SAMPLER), SAMPLER)).worker.close()

    def _require_cpus(self, role: str, part: WorkerPart) -> None:
        """Refuse a part that the cluster can never hold beside those that are open."""
        import ray

        there = ray.cluster_resources().get("CPU", 0.0)
        reserved = sum(each.resources.copies * each.resources.cpus for each in [*(one.part for one in self._workers.values()), part])
        if reserved > there and not nodes_on_demand():
            raise UserError(
                f"with the {role} this run reserves {reserved:g} CPU, but the cluster has {there:g}; "
                f"lower the parts' resources, or set SELFIMPROVE_AUTOSCALE=1 if nodes are started on demand"
            )

    def end(self, part: WorkerPart) -> None:
        """End the actors of this part, if any, and free what they reserved. Their calls in progress raise `WorkerFailed`."""
        with self._changing:
            for role in [role for role, one in self._workers.items() if one.part == part]:
                worker = self._workers.pop(role).worker
                # With the cluster lost, no call would be answered.
                if not self._vital.ended():
                    worker.close()

    def apart(self, role: str, part: WorkerPart) -> bool:
        """Whether there is room for both, and one of the two parts has whole GPUs to itself or is set to use none (`gpus=0`)."""
        known = self._workers[role].part
        both = self._shares.held(known), self._shares.needed(part)
        return 0 in (known.resources.gpus, part.resources.gpus) or (any(each and min(each) >= 1 for each in both) and self._shares.fit(both))

    def close(self) -> None:
        """End every actor, and the local cluster if it was started here; then redact the actors' logs."""
        import ray

        if self._vital.ended():
            # No call would be answered, and one of the two would wait a minute for the other. The actors end with their raylet.
            self._workers.clear()
            self._vital.kill()
        while self._workers:
            self._workers.popitem()[1].worker.close()
        if self._owned and ray.is_initialized():
            ray.shutdown()
        if self._log_folder:
            for role in self._roles:
                redact_log(self._log_folder / f"{role}.log")

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def gpus_of_nodes() -> tuple[float, ...]:
    """GPUs of each node of the cluster that this process has joined."""
    import ray

    return tuple(gpus for node in ray.nodes() if node["Alive"] and (gpus := node["Resources"].get("GPU", 0.0)))
