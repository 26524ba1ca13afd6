"""Parts run in Ray actors: on a local cluster that ends with the run, or on the one that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pydantic

from selfimprove.cluster.host import Host
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.resources import Resources

IN_FLIGHT = 2
"""Calls that a copy works on at once: the next is there before the last one ends, so that an engine never runs dry."""

BEAT_SECONDS = 10.0
"""How often a worker that says nothing is asked what it does."""

log = logging.getLogger(__name__)


class RayWorker:
    """The copies of one part."""

    def __init__(self, role: str, options: dict[str, Any], arguments: tuple[Any, ...], copies: int, deadline: float, retries: int) -> None:
        import ray

        self._role, self._deadline, self._retries = role, deadline, retries
        self._actor_class = ray.remote(Host).options(**options)
        self._arguments = arguments
        self._actors = [self._start() for _ in range(copies)]

    def _start(self) -> Any:
        return self._actor_class.remote(*self._arguments)

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method on every copy; the first one's result."""
        import ray

        for attempt in range(self._retries + 1):
            refs = [actor.call.remote(method, arguments) for actor in self._actors]
            try:
                self._wait(refs, method, len(refs))
                return ray.get(refs)[0]
            except ray.exceptions.RayActorError as error:
                if attempt == self._retries:
                    raise WorkerFailed(f"the {self._role} died {attempt + 1} times in {method}: {_first_line(error)}") from error
                log.warning("the %s died in %s and is started again: %s", self._role, method, _first_line(error))
                self._kill_all()
                self._actors = [self._start() for _ in self._actors]
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
        raise AssertionError("unreachable")

    def stream(self, method: str, calls: Iterable[tuple[object, ...]]) -> Iterator[Any]:
        """Run the generator method for every call, each copy on two calls at once; items come as they are made."""
        import ray

        waiting = iter(calls)
        running: dict[Any, tuple[int, tuple[object, ...], int]] = {}

        def submit(copy: int, arguments: tuple[object, ...], attempt: int) -> None:
            generator = self._actors[copy].stream.options(num_returns="streaming").remote(method, arguments)
            running[generator] = (copy, arguments, attempt)

        for copy in list(range(len(self._actors))) * IN_FLIGHT:
            arguments = next(waiting, None)
            if arguments is not None:
                submit(copy, arguments, 0)
        while running:
            ready = self._wait(list(running), method)
            copy, arguments, attempt = running[ready[0]]
            try:
                yield ray.get(next(ready[0]), timeout=self._deadline)
            except StopIteration:
                del running[ready[0]]
                following = next(waiting, None)
                if following is not None:
                    submit(copy, following, 0)
            except ray.exceptions.RayActorError as error:
                # Every call of the copy died with it.
                dead = [(generator, call) for generator, call in running.items() if call[0] == copy]
                if attempt >= self._retries:
                    raise WorkerFailed(f"the {self._role} died {attempt + 1} times in {method}: {_first_line(error)}") from error
                log.warning("the %s died in %s and is started again: %s", self._role, method, _first_line(error))
                self._actors[copy] = self._start()
                for generator, (_, again, attempts) in dead:
                    del running[generator]
                    submit(copy, again, attempts + 1)
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from error

    def close(self) -> None:
        """Close the part, then end its processes."""
        import ray

        refs = [actor.call.remote("close", ()) for actor in self._actors]
        ray.wait(refs, num_returns=len(refs), timeout=10)
        self._kill_all()

    def _kill_all(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def _wait(self, refs: list[Any], method: str, wanted: int = 1) -> list[Any]:
        """Those of the results that are there, as soon as `wanted` are; a worker that does not answer is ended, which its calls then report.

        Raises:
            WorkerFailed: nothing came within the deadline.
        """
        import ray

        began = time.monotonic()
        asked: dict[Any, tuple[Any, float]] = {}
        while True:
            left = began + self._deadline - time.monotonic()
            ready: list[Any] = ray.wait(refs, num_returns=wanted, timeout=max(0.0, min(BEAT_SECONDS, left)), fetch_local=True)[0]
            if len(ready) >= wanted:
                return ready
            if left <= 0:
                error = self._overdue(method)
                self._kill_all()
                raise error
            for actor in self._actors:
                ref, since = asked.get(actor, (None, 0.0))
                if ref is None or ray.wait([ref], timeout=0)[0]:
                    asked[actor] = actor.heartbeat.remote(), time.monotonic()
                elif time.monotonic() - since > self._deadline / 3:
                    log.warning("the %s does not answer in %s and is ended", self._role, method)
                    ray.kill(actor)
                    del asked[actor]

    def _overdue(self, method: str) -> WorkerFailed:
        import ray

        try:
            beats: list[str] = ray.get([actor.heartbeat.remote() for actor in self._actors], timeout=10)
            last = "; ".join(beats)
        except ray.exceptions.RayError:
            last = "it does not answer"
        return WorkerFailed(
            f"the {self._role} gave no sign of life for {self._deadline:.0f} s in {method}: {last}; see logs/{self._role}.log in the run folder"
        )


class RayCluster(AbstractContextManager["RayCluster"]):
    """Opens parts in Ray actors; a context manager that ends what it started.

    Args:
        log_folder: where actors write what their libraries print; None leaves it to Ray.
        ship: modules that workers cannot import, such as a workflow file loaded by its path.
        deadline: seconds without a result after which a worker is given up; one that does not answer is ended after a third,
            and its call run again.
        retries: how often a call whose worker died is run again.
    """

    def __init__(self, log_folder: Path | None = None, ship: Iterable[Any] = (), deadline: float = 900.0, retries: int = 2) -> None:
        import ray

        self._log_folder, self._deadline, self._retries = log_folder, deadline, retries
        self._workers: list[tuple[Any, RayWorker]] = []
        self._reserved: dict[str, float] = {}
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect()
        for module in ship:
            ray.cloudpickle.register_pickle_by_value(module)

    def open(self, role: str, part: Any) -> RayWorker:
        """The actors of this part, warm from their first call on.

        Raises:
            UserError: the cluster can never give what the part reserves.
        """
        for known, worker in self._workers:
            if known == part:
                return worker
        resources: Resources = getattr(part, "resources", Resources())
        gpus = self._gpus(resources)
        options: dict[str, Any] = {
            "num_cpus": resources.cpus,
            "num_gpus": gpus,
            "max_concurrency": IN_FLIGHT + 1,
            "runtime_env": {"env_vars": getattr(part, "environment", dict)()},
        }
        self._reserve(role, resources.copies, {"CPU": resources.cpus, "GPU": gpus})
        log_folder = str(self._log_folder.resolve()) if self._log_folder else None
        worker = RayWorker(role, options, (part, role, log_folder), resources.copies, self._deadline, self._retries)
        self._workers.append((part, worker))
        return worker

    def _reserve(self, role: str, copies: int, each: dict[str, float]) -> None:
        """Refuse what the cluster can never hold: such an actor would wait for ever. Nodes started on demand count only when asked for."""
        import ray

        total = ray.cluster_resources()
        for name, amount in each.items():
            self._reserved[name] = self._reserved.get(name, 0.0) + copies * amount
            if self._reserved[name] > total.get(name, 0.0) and not os.environ.get("SELFIMPROVE_AUTOSCALE"):
                raise UserError(
                    f"with the {role} this run reserves {self._reserved[name]:g} {name} and the cluster has {total.get(name, 0.0):g}; "
                    f"lower the parts' resources, or set SELFIMPROVE_AUTOSCALE=1 where nodes are started on demand"
                )

    def _gpus(self, resources: Resources) -> float:
        import ray

        if resources.gpus is not None:
            return resources.gpus
        return float(min(1.0, ray.cluster_resources().get("GPU", 0.0) / 2))

    def close(self) -> None:
        """End every actor, and the local cluster if this object started it."""
        import ray

        while self._workers:
            self._workers.pop()[1].close()
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
        # Ray's own switch for systems where a cluster is this machine alone: every port is then on loopback. There is no public name for it.
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
        ray.init(address="local", include_dashboard=False, object_store_memory=256 << 20, **quiet)
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():
            # Where nobody answers, Ray tries for two minutes and then ends this process.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, **quiet)
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}: start one with `ray start --head`, or unset it") from error


def _cause(error: Any) -> BaseException:
    """The exception that the part raised."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (UserError, OSError, pydantic.ValidationError)) else error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
