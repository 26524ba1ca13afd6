"""The copies of one part, each in a Ray actor: calls, streams, deadlines, and recovery when a process dies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pydantic

from selfimprove.cluster.actor import PartActor
from selfimprove.cluster.dispatch import Call, Dispatch
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.errors.redaction import redact
from selfimprove.protocols import Load

BEAT_SECONDS = 10.0
"""Seconds between heartbeats of a worker that sends nothing."""

log = logging.getLogger(__name__)


class RayWorker:
    """The copies of one part.

    The calls of a dead copy go to the next free copy. A replacement is started and joins after its first sign of life, so that a cluster that lost
    a node continues with the remaining copies.
    """

    def __init__(
        self,
        role: str,
        options: dict[str, Any],
        arguments: tuple[Any, ...],
        copies: int,
        deadline: float,
        retries: int,
        require_cluster: Callable[[], None],
    ) -> None:
        import ray

        self._require_cluster = require_cluster
        self._role, self._deadline, self._retries = role, deadline, retries
        self._actor_class = ray.remote(PartActor).options(**options)
        self._arguments = arguments
        self._closed = False
        self._lost = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError
        self._actors = [self._start() for _ in range(copies)]
        self._coming: dict[int, tuple[Any, int]] = {}
        """For each copy that replaces a dead one: its first sign of life, and how often it has died at the same work."""

    def _start(self) -> Any:
        return self._actor_class.remote(*self._arguments)

    def gpu_memory(self) -> int | None:
        """Bytes of GPU memory that torch holds in the copy that holds most; None if it has not used a GPU, or does not answer."""
        import ray

        try:
            found = ray.get([self._actors[copy].gpu_memory.remote() for copy in self._there()], timeout=BEAT_SECONDS)
        except ray.exceptions.RayError:
            return None
        return max((one for one in found if one is not None), default=None)

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method on every copy and return the first result."""
        import ray

        refs = [actor.call.remote(method, arguments) for actor in self._actors]
        for attempt in range(self._retries + 1):
            asked = self._there() or list(range(len(refs)))
            self._wait([refs[copy] for copy in asked], method, len(asked))
            results = []
            for copy in asked:
                try:
                    results.append(ray.get(refs[copy]))
                    self._coming.pop(copy, None)
                except self._lost as error:
                    self._replace(copy, attempt + 1, method, error)
                    refs[copy] = self._actors[copy].call.remote(method, arguments)
                except ray.exceptions.RayTaskError as error:
                    raise _cause(error) from error
            if results:
                return results[0]
        raise AssertionError("unreachable")

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        """Run the generator method for every call, and yield items as they arrive, in lists; `load` says how full copies are kept."""
        import ray

        dispatch = Dispatch(calls, self._there(), load)
        running: dict[Any, Call] = {}

        while True:
            while begun := dispatch.next():
                generator = self._actors[begun.copy].stream.options(num_returns="streaming").remote(method, begun.arguments)
                running[generator] = begun
                if load and load.slow_calls:
                    break
            if dispatch.room and not running:
                if dispatch.exhausted:
                    return
                yield []
                continue
            items, failure = [], None
            asked = [*running, *(ref for ref, _ in self._coming.values())]
            # After a break there may be room for another call: take what is there, and look for it.
            for ready in ray.wait(asked, num_returns=len(asked), timeout=0)[0] if begun else self._wait(asked, method):
                call = running.get(ready)
                if call is None:
                    for copy in self._joined(ready, method):
                        dispatch.join(copy)
                    continue
                try:
                    items.append(ray.get(next(ready), timeout=self._deadline))
                    dispatch.came(call, items[-1])
                except StopIteration:
                    del running[ready]
                    dispatch.ended(call)
                except self._lost as error:
                    self._replace(call.copy, call.attempt + 1, method, error)
                    # Every call of the copy died with it.
                    running = {generator: other for generator, other in running.items() if other.copy != call.copy}
                    dispatch.lost(call.copy)
                except ray.exceptions.RayTaskError as error:
                    failure = error
            if items:
                yield items
            if failure:
                raise _cause(failure) from failure

    def _there(self) -> list[int]:
        """Copies that are ready."""
        return [copy for copy in range(len(self._actors)) if copy not in self._coming]

    def _joined(self, sign: Any, method: str) -> list[int]:
        """The copy whose first sign of life this is; empty if it is none, or if the copy has died since."""
        import ray

        found = next(((copy, deaths) for copy, (ref, deaths) in self._coming.items() if ref == sign), None)
        if found is None:
            # A call of a copy that has just died.
            return []
        copy, deaths = found
        try:
            ray.get(sign)
        except self._lost as error:
            self._replace(copy, deaths + 1, method, error)
            return []
        del self._coming[copy]
        return [copy]

    def _replace(self, copy: int, deaths: int, method: str, error: BaseException) -> None:
        """Replace a copy that has died.

        Raises:
            WorkerFailed: it died too often, the local cluster is lost, or this worker was closed.
        """
        import ray

        self._require_cluster()
        if self._closed:
            raise WorkerFailed(f"the {self._role} was ended in {method}") from error
        if deaths > self._retries:
            raise WorkerFailed(f"the {self._role} died {deaths} times in {method}: {_first_line(error)}") from error
        log.warning("the %s died in %s and is restarted: %s", self._role, method, _first_line(error))
        # It may only be out of reach.
        ray.kill(self._actors[copy])
        self._actors[copy] = self._start()
        self._coming[copy] = self._actors[copy].heartbeat.remote(), deaths

    def close(self) -> None:
        """Close the part, then end its processes. A call that another thread waits for raises `WorkerFailed`."""
        import ray

        self._closed = True
        refs = [self._actors[copy].call.remote("close", ()) for copy in self._there()]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=10)
        self._kill_all()

    def _kill_all(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def _wait(self, refs: list[Any], method: str, wanted: int = 1) -> list[Any]:
        """The results that are there, as soon as there are `wanted`. A worker that does not answer is killed, which its calls then report.

        Raises:
            WorkerFailed: nothing arrived within the deadline, or the local cluster is lost.
        """
        import ray

        began = time.monotonic()
        asked: dict[Any, tuple[Any, float]] = {}
        while True:
            self._require_cluster()
            left = began + self._deadline - time.monotonic()
            ready: list[Any] = ray.wait(refs, num_returns=wanted, timeout=max(0.0, min(BEAT_SECONDS, left)), fetch_local=True)[0]
            if len(ready) >= wanted:
                return list(ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if len(refs) > wanted else ready
            if left <= 0:
                error = self._overdue(method)
                self._kill_all()
                raise error
            # A copy that has not joined may be waiting for room in the cluster.
            for actor in (self._actors[copy] for copy in self._there()):
                ref, since = asked.get(actor, (None, 0.0))
                if ref is None or ray.wait([ref], timeout=0)[0]:
                    asked[actor] = actor.heartbeat.remote(), time.monotonic()
                elif time.monotonic() - since > self._deadline / 3:
                    log.warning("the %s does not answer in %s and is killed", self._role, method)
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


def _cause(error: Any) -> BaseException:
    """The exception that the part raised."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (UserError, OSError, pydantic.ValidationError)) else error


def _first_line(error: BaseException) -> str:
    return redact(next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__))
