"""How well the dispatcher keeps samplers busy: simulated actors of uneven speed, in simulated time, through `sampling.stream` and `cluster.dispatch`.

An actor works on so many requests at once, the others wait; a request's length is drawn from a log-normal distribution cut at four means, and every
actor has a speed of its own. Finished traces are handed over as `sampling.open_vllm` does it, and each hand-over takes time of the one driver. An
actor is busy while it works on anything; stricter, and what an engine's throughput goes with, is the share of places in which a request is.
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
    """What is simulated."""

    actors: int = 64
    places: int = 64
    """Requests that an actor works on at once."""
    requests_per_place: int = 64
    """A million traces on 64 engines of 256 sequences are 61."""
    mean_seconds: float = 20.0
    """Of a request, on an actor of speed 1."""
    spread: float = 0.8
    """Standard deviation of the logarithm of a request's length; the longest are four means."""
    speeds: float = 0.2
    """Actors take 1 - this to 1 + this times as long."""
    hand_over_seconds: float = 0.001
    """Of the driver, for each batch of traces that comes."""
    send_seconds: float = 0.005
    """From the driver's decision to the request in the actor."""

    def seconds(self, seed: int) -> float:
        """How long this request takes on an actor of speed 1."""
        drawn = random.Random(seed).lognormvariate(math.log(self.mean_seconds) - self.spread**2 / 2, self.spread)
        return min(4 * self.mean_seconds, drawn)


@dataclass(frozen=True)
class SimulatedSampler(Sampler):
    """What `sample` is given."""

    resources: Resources = field(default=Resources())
    sequences: int = 256

    def open(self) -> Any:
        raise NotImplementedError("its actors are simulated")


@dataclass(frozen=True)
class Told:
    """What came of it, as shares of the whole time."""

    busy: float
    """Of all actors."""
    tail: float
    """Of all actors: idle after the last request had been handed out."""
    places: float
    """Busy, of all places."""
    places_tail: float
    seconds: float
    """Simulated."""
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
    """Seconds, up to the last time that it had nothing to do, `until`."""
    until: float = 0.0


class SimulatedCluster:
    """A cluster whose actors pass the time without taking it; the dispatching is that of every run."""

    def __init__(self, setting: Setting, seed: int, dispatch: Callable[..., Dispatch] = Dispatch) -> None:
        self._setting, self._dispatch = setting, dispatch
        chance = random.Random(seed)
        self._actors = [Actor(chance.uniform(1 - setting.speeds, 1 + setting.speeds)) for _ in range(setting.actors)]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._spans: list[tuple[float, float]] = []
        """When each request was begun, and when it ended."""
        self._finished: dict[Call, list[Trace]] = {}
        self._left: Counter[Call] = Counter()
        """Traces of each open call that have not been handed over."""
        self._handed: deque[tuple[Call, list[Trace]]] = deque()
        self._last_given = 0.0
        self._hand_overs = 0

    def open(self, role: str, part: Any) -> SimulatedCluster:
        return self

    def end(self, part: Any) -> None: ...

    def close(self) -> None: ...

    def call(self, method: str, *arguments: object) -> Any:
        raise NotImplementedError

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[list[Trace]]]:
        """Every event in its order; what is handed over waits until the driver is free."""
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

    def told(self) -> Told:
        """What all of it came to."""
        end = max(end for _, end in self._spans)
        places = self._setting.actors * self._setting.places
        worked = sum(end - begin for begin, end in self._spans)
        late = sum(end - max(begin, self._last_given) for begin, end in self._spans if end > self._last_given)
        idle = places * (end - self._last_given) - late
        busy = sum(actor.busy for actor in self._actors)
        gone = sum(end - max(actor.until, self._last_given) for actor in self._actors)
        all_actors, all_places = self._setting.actors * end, places * end
        return Told(busy / all_actors, gone / all_actors, worked / all_places, idle / all_places, end, self._hand_overs, len(self._spans))

    def _at(self, when: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))

    def _arrive(self, call: Call, now: float) -> None:
        requests: Sequence[Request] = call.arguments[1]  # type: ignore[assignment]
        self._left[call] = len(requests)
        self._actors[call.copy].waiting.extend((call, request) for request in requests)
        self._begin(self._actors[call.copy], now)

    def _begin(self, actor: Actor, now: float) -> None:
        while actor.waiting and actor.working < self._setting.places:
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


def simulate(setting: Setting, seed: int, dispatch: Callable[..., Dispatch] = Dispatch) -> Told:
    """One generation's sampling. Raises RuntimeError where a trace is lost or comes twice."""
    number = setting.actors * setting.places * setting.requests_per_place
    requests = [Request(f"{seed}/{index}", str(index), (), 1.0, 1.0, 1, hash((seed, index)), THINK) for index in range(number)]
    cluster = SimulatedCluster(setting, seed, dispatch)
    sampler = SimulatedSampler(Resources(copies=setting.actors), setting.places)
    came = [trace.id for traces in stream_traces(sampler, CHECKPOINT, [requests], cluster) for trace in traces]
    if sorted(came) != sorted(request.id for request in requests):
        raise RuntimeError(f"{len(came)} traces came for {number} requests")
    return cluster.told()


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    """Print the shares of both kinds."""
    default = Setting()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--actors", type=int, default=default.actors)
    parser.add_argument("--places", type=int, default=default.places, help="requests that an actor works on at once")
    parser.add_argument("--requests", type=int, default=default.requests_per_place, help="per place")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hand-over", type=float, default=default.hand_over_seconds, help="seconds of it: python -m benchmarks.handing_over")
    chosen = parser.parse_args(arguments)
    setting = Setting(chosen.actors, chosen.places, chosen.requests, hand_over_seconds=chosen.hand_over)
    print(f"simulated actors: {setting}")
    told = [simulate(setting, seed) for seed in range(chosen.repeats)]
    for one in told:
        print(
            f"  actors busy {one.busy:.3f}, idle at the end {one.tail:.3f}; places busy {one.places:.3f}, idle at the end {one.places_tail:.3f}; "
            f"{one.traces:,} traces in {one.seconds:,.0f} simulated s, {one.hand_overs / one.seconds:.0f} hand-overs/s"
        )
    command, note = "python -m benchmarks.simulated_actors", f"simulated time; {setting.actors} actors of {setting.places} places"
    return [
        figure(f"{setting.actors} simulated samplers: busy", "≥ 0.95", [one.busy for one in told], command, note=note),
        figure(f"{setting.actors} simulated samplers: idle at a generation's end", "≤ 0.05", [one.tail for one in told], command, note=note),
        figure("the same, of all their places: busy", "≥ 0.95", [one.places for one in told], command, note="stricter"),
        figure("the same, of all their places: idle at the end", "≤ 0.05", [one.places_tail for one in told], command, note="stricter"),
    ]


if __name__ == "__main__":
    hand_on(main())
