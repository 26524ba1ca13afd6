"""How well the dispatcher keeps samplers busy: simulated actors of uneven speed, in simulated time, through `sampling.stream` and `cluster.dispatch`.

An actor has a number of slots and works on one request in each; other requests wait. Request lengths are log-normal, cut at four means, and every
actor has its own speed. Finished traces are handed over as in `sampling.open_vllm`, and each hand-over takes time of the single driver. An
actor is busy while it works on anything. The share of slots in use is stricter, and is what an engine's throughput follows.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import Figure, figure, hand_on
from selfimprove import Resources
from selfimprove.cluster.dispatch import Call, Dispatch
from selfimprove.protocols import Load, Sampler
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.records.delimiters import THINK
from selfimprove.sampling.open_vllm import GATHER_SECONDS
from selfimprove.sampling.stream import stream_traces

CHECKPOINT = Checkpoint("simulated", "", None, 0, "", "")


@dataclass(frozen=True)
class Setting:
    """Settings of the simulation."""

    actors: int = 64
    slots: int = 64
    """Requests that an actor works on at the same time."""
    requests_per_slot: int = 64
    """Requests for each slot; a million traces on 64 engines of 256 sequences are 61."""
    mean_seconds: float = 20.0
    """Mean duration of a request on an actor of speed 1."""
    spread: float = 0.8
    """Standard deviation of the logarithm of a request's length; lengths are cut at four means."""
    speeds: float = 0.2
    """Spread of actor speeds: an actor takes 1 - `speeds` to 1 + `speeds` times as long."""
    hand_over_seconds: float = 0.001
    """Driver time for each batch of traces."""
    send_seconds: float = 0.005
    """Time from the driver's decision to the arrival of the request in the actor."""

    def seconds(self, seed: int) -> float:
        """Return the duration of this request on an actor of speed 1."""
        drawn = random.Random(seed).lognormvariate(math.log(self.mean_seconds) - self.spread**2 / 2, self.spread)
        return min(4 * self.mean_seconds, drawn)


@dataclass(frozen=True)
class SimulatedSampler(Sampler):
    """The sampler passed to `sample`."""

    resources: Resources = field(default=Resources())
    sequences: int = 256

    def open(self) -> Any:
        raise NotImplementedError("its actors are simulated")


@dataclass(frozen=True)
class Shares:
    """Results, as shares of the total time."""

    busy: float
    """Share of actor time spent busy."""
    tail: float
    """Share of actor time idle after the last request was handed out."""
    slots: float
    """Share of slot time spent busy."""
    slots_tail: float
    """Share of slot time idle after the last request was handed out."""
    seconds: float
    """Simulated seconds."""
    hand_overs: int
    traces: int


@dataclass(eq=False)
class Actor:
    """One engine."""

    slowness: float
    waiting: deque[tuple[Call, Request]] = field(default_factory=deque)
    working: int = 0
    since: float = 0.0
    busy: float = 0.0
    """Busy seconds up to `until`, the last time it had nothing to do."""
    until: float = 0.0


class SimulatedCluster:
    """A cluster whose actors pass simulated time; dispatching is that of every run."""

    def __init__(self, setting: Setting, seed: int, dispatch: Callable[..., Dispatch] = Dispatch) -> None:
        self._setting, self._dispatch = setting, dispatch
        chance = random.Random(seed)
        self._actors = [Actor(chance.uniform(1 - setting.speeds, 1 + setting.speeds)) for _ in range(setting.actors)]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._spans: list[tuple[float, float]] = []
        """Start and end of each request."""
        self._finished: dict[Call, list[Trace]] = {}
        self._left: Counter[Call] = Counter()
        """Traces of each open call not yet handed over."""
        self._handed: deque[tuple[Call, list[Trace]]] = deque()
        self._last_given = 0.0
        self._hand_overs = 0

    def open(self, role: str, part: Any) -> SimulatedCluster:
        return self

    def end(self, part: Any) -> None: ...

    def close(self) -> None: ...

    def call(self, method: str, *arguments: object) -> Any:
        raise NotImplementedError("only streams are simulated")

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[list[Trace]]]:
        """Process every event in order; hand-overs wait until the driver is free."""
        dispatch, driver = self._dispatch(calls, range(self._setting.actors), load), 0.0
        while True:
            while given := dispatch.next():
                self._last_given = driver + self._setting.send_seconds
                self._at(self._last_given, lambda now, call=given: self._arrive(call, now))
            while self._events and (not self._handed or self._events[0][0] <= driver):
                now, _, happen = heapq.heappop(self._events)
                happen(now)
                driver = max(driver, now) if self._handed else driver
            if not self._handed:
                return
            call, traces = self._handed.popleft()
            driver += self._setting.hand_over_seconds
            self._hand_overs += 1
            dispatch.came(call, traces)
            self._left[call] -= len(traces)
            if not self._left[call]:
                dispatch.ended(call)
            yield [traces]

    def shares(self) -> Shares:
        """Return the results."""
        end = max(end for _, end in self._spans)
        slots = self._setting.actors * self._setting.slots
        worked = sum(end - begin for begin, end in self._spans)
        late = sum(end - max(begin, self._last_given) for begin, end in self._spans if end > self._last_given)
        idle = slots * (end - self._last_given) - late
        busy = sum(actor.busy for actor in self._actors)
        gone = sum(end - max(actor.until, self._last_given) for actor in self._actors)
        all_actors, all_slots = self._setting.actors * end, slots * end
        return Shares(busy / all_actors, gone / all_actors, worked / all_slots, idle / all_slots, end, self._hand_overs, len(self._spans))

    def _at(self, when: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))

    def _arrive(self, call: Call, now: float) -> None:
        requests: Sequence[Request] = call.arguments[1]  # type: ignore[assignment]
        self._left[call] = len(requests)
        self._actors[call.copy].waiting.extend((call, request) for request in requests)
        self._begin(self._actors[call.copy], now)

    def _begin(self, actor: Actor, now: float) -> None:
        while actor.waiting and actor.working < self._setting.slots:
            call, request = actor.waiting.popleft()
            if not actor.working:
                actor.since = now
            actor.working += 1
            end = now + self._setting.seconds(request.seed) * actor.slowness
            self._spans.append((now, end))
            self._at(end, lambda now, call=call, request=request: self._finish(actor, call, request, now))

    def _finish(self, actor: Actor, call: Call, request: Request, now: float) -> None:
        actor.working -= 1
        self._begin(actor, now)
        if not actor.working:
            actor.busy, actor.until = actor.busy + now - actor.since, now
        if call not in self._finished:
            self._finished[call] = []
            self._at(now + GATHER_SECONDS, lambda now: self._handed.append((call, self._finished.pop(call))))
        self._finished[call].append(Trace(request.id, request.problem_id, "simulated", (), (), "", (), "stop", 1.0, request.seed))


def simulate(setting: Setting, seed: int, dispatch: Callable[..., Dispatch] = Dispatch) -> Shares:
    """Simulate the sampling of one generation. Raises RuntimeError if a trace is lost or duplicated."""
    number = setting.actors * setting.slots * setting.requests_per_slot
    requests = [Request(f"{seed}/{index}", str(index), (), 1.0, 1.0, 1, hash((seed, index)), THINK) for index in range(number)]
    cluster = SimulatedCluster(setting, seed, dispatch)
    sampler = SimulatedSampler(Resources(copies=setting.actors), setting.slots)
    came = [trace.id for traces in stream_traces(sampler, CHECKPOINT, [requests], cluster) for trace in traces]
    if sorted(came) != sorted(request.id for request in requests):
        raise RuntimeError(f"{len(came)} traces for {number} requests")
    return cluster.shares()


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print the shares of actors and of slots."""
    default = Setting()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--actors", type=int, default=default.actors)
    parser.add_argument("--slots", type=int, default=default.slots, help="requests that an actor works on at the same time")
    parser.add_argument("--requests", type=int, default=default.requests_per_slot, help="requests per slot")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hand-over", type=float, default=default.hand_over_seconds, help="seconds per hand-over: python -m benchmarks.handing_over")
    chosen = parser.parse_args(arguments)
    setting = Setting(chosen.actors, chosen.slots, chosen.requests, hand_over_seconds=chosen.hand_over)
    print(f"simulated actors: {setting}")
    shares = [simulate(setting, seed) for seed in range(chosen.repeats)]
    for one in shares:
        print(
            f"  actors busy {one.busy:.3f}, idle at the end {one.tail:.3f}; slots busy {one.slots:.3f}, idle at the end {one.slots_tail:.3f}; "
            f"{one.traces:,} traces in {one.seconds:,.0f} simulated s, {one.hand_overs / one.seconds:.0f} hand-overs/s"
        )
    command, note = "python -m benchmarks.simulated_actors", f"simulated time; {setting.actors} actors with {setting.slots} slots each"
    return [
        figure(f"{setting.actors} simulated samplers: busy", "≥ 0.95", [one.busy for one in shares], command, note=note),
        figure(f"{setting.actors} simulated samplers: idle at the end of a generation", "≤ 0.05", [one.tail for one in shares], command, note=note),
        figure("share of their slots: busy", "≥ 0.95", [one.slots for one in shares], command, note="stricter"),
        figure("share of their slots: idle at the end", "≤ 0.05", [one.slots_tail for one in shares], command, note="stricter"),
    ]


if __name__ == "__main__":
    hand_on(main())
