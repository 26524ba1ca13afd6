"""Requests on their way to a sampler, with samplers that only count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from selfimprove import Resources
from selfimprove.cluster.dispatch import Dispatch
from selfimprove.cluster.inline import InlineCluster
from selfimprove.protocols import Load, Sampler
from selfimprove.records import Checkpoint, Request, Trace
from selfimprove.records.delimiters import THINK
from selfimprove.sampling.stream import stream_traces

BASE = Checkpoint("base", "", None, 0, "", "")


def requests(count: int) -> list[Request]:
    return [Request(str(number), "p", (), 1.0, 1.0, 1, number) for number in range(count)]


def trace(request: Request) -> Trace:
    return Trace(request.id, "p", "base", (), (), "", (), "stop", 1.0, request.seed, THINK)


@dataclass(frozen=True)
class Starting(Sampler):
    """Starts an engine before its first traces, as a part that knows its size only where it is open."""

    sequences: int | None = None
    resources: Resources = field(default=Resources())

    def open(self) -> OpenStarting:
        return OpenStarting()


class OpenStarting:
    """Answers from the second call on at once."""

    def __init__(self) -> None:
        self.started = False
        self.calls: list[int] = []

    def sequences(self) -> int:
        return 600

    def sample(self, checkpoint: Checkpoint, asked: Sequence[Request]) -> Iterator[list[Trace]]:
        if not self.started:
            yield []
        self.started = True
        self.calls.append(len(asked))
        yield [trace(request) for request in asked]

    def close(self) -> None: ...


def test_a_sampler_that_starts_an_engine_says_so_once() -> None:
    cluster, said = InlineCluster(), []
    for _ in range(2):
        batches = list(stream_traces(Starting(), BASE, [requests(1000)], cluster, starting=lambda: said.append("starting")))
        assert [one.id for batch in batches for one in batch] == [str(number) for number in range(1000)] and all(batches)
    assert said == ["starting"]
    opened = cluster.open("sampler", Starting())._opened
    assert opened.calls == [600, 400] * 2, "a call fills the only copy"
    cluster.close()


@dataclass
class Counting:
    """A cluster whose copies answer one call after another, and that notes how much each has at most."""

    copies: int
    most: int = 0
    sizes: list[int] = field(default_factory=list)

    def open(self, role: str, part: Any) -> Counting:
        return self

    def stream(self, method: str, calls: Iterable[tuple[object, ...] | None], load: Load | None = None) -> Iterator[list[list[Trace]]]:
        dispatch, running = Dispatch(calls, range(self.copies), load), []
        while True:
            while call := dispatch.next():
                running.append(call)
                self.sizes.append(call.missing)
            self.most = max([self.most, *(sum(call.missing for call in running if call.copy == copy) for copy in range(self.copies))])
            if not running:
                return
            call = running.pop(0)
            batch = [trace(request) for request in call.arguments[1]]
            dispatch.came(call, batch)
            dispatch.ended(call)
            yield [batch]


@pytest.mark.parametrize(("copies", "sequences"), [(1, 256), (1, 1024), (3, 256), (5, 16), (2, 4)])
def test_each_copy_has_twice_what_it_works_on_until_the_requests_run_out(copies: int, sequences: int) -> None:
    cluster, total = Counting(copies), 20 * sequences * copies
    sampler = Starting(sequences, Resources(copies=copies))
    found = [one.id for batch in stream_traces(sampler, BASE, [requests(total)], cluster) for one in batch]  # type: ignore[arg-type]
    assert sorted(found, key=int) == [str(number) for number in range(total)]
    assert 2 * sequences <= cluster.most < 2 * sequences + max(cluster.sizes)
    assert copies == 1 or cluster.sizes[0] <= max(1, sequences // 8)
