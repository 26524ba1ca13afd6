"""The copies of one part, each in a Ray actor: calls, streams, deadlines, and what happens when a process dies."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic

from selfimprove.cluster.dispatch import Call, Dispatch
from selfimprove.cluster.host import Host
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.seams import Load

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

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[Any]:
        """Run the generator method for every call, on copies that are kept so full; items come as they are made."""
        import ray

        dispatch = Dispatch(calls, len(self._actors), load)
        running: dict[Any, Call] = {}

        def submit(call: Call) -> None:
            generator = self._actors[call.copy].stream.options(num_returns="streaming").remote(method, call.arguments)
            running[generator] = call

        while True:
            while call := dispatch.next():
                submit(call)
            if not running:
                return
            ready = self._wait(list(running), method)
            call = running[ready[0]]
            try:
                item = ray.get(next(ready[0]), timeout=self._deadline)
                dispatch.came(call, item)
                yield item
            except StopIteration:
                del running[ready[0]]
                dispatch.ended(call)
            except ray.exceptions.RayActorError as error:
                # Every call of the copy died with it.
                dead = {generator: other for generator, other in running.items() if other.copy == call.copy}
                if call.attempt >= self._retries:
                    raise WorkerFailed(f"the {self._role} died {call.attempt + 1} times in {method}: {_first_line(error)}") from error
                log.warning("the %s died in %s and is started again: %s", self._role, method, _first_line(error))
                self._actors[call.copy] = self._start()
                for generator, other in dead.items():
                    del running[generator]
                    dispatch.again(other)
                    submit(other)
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


def _cause(error: Any) -> BaseException:
    """The exception that the part raised."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (UserError, OSError, pydantic.ValidationError)) else error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
