"""Driver seconds to take a batch of traces from a Ray actor and to ask another actor about it: the limit on samplers per driver."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.machine import describe_machine
from selfimprove import RayCluster, Resources
from selfimprove.protocols import WorkerPart
from selfimprove.records import Trace

BATCHES = 2000
TWO = Resources(copies=2, cpus=0.1)
TOKENS = 1000
TOGETHER = 100
"""Traces per question."""


@dataclass(frozen=True)
class Handing(WorkerPart):
    """Hand over batches of one trace as fast as they are taken."""

    resources: Resources = TWO

    def open(self) -> Handing:
        return self

    def hand(self, batches: int) -> Iterator[list[Trace]]:
        for number in range(batches):
            yield [Trace(str(number), "p", "m", tuple(range(200)), tuple(range(TOKENS)), "x" * 4 * TOKENS, (), "stop", 1.0, number)]

    def answer(self, traces: Sequence[Trace]) -> list[int]:
        return [0 for _ in traces]

    def close(self) -> None: ...


def main() -> None:
    """Print the time per batch when two actors do nothing but hand over, the time per question, and the extra time per trace in it."""
    with RayCluster() as cluster:
        worker = cluster.open("handing", Handing())
        for number in (100, BATCHES):
            begin = time.perf_counter()
            came = [trace for batches in worker.stream("hand", [(number // 2,)] * 2) for batch in batches for trace in batch]
        seconds = (time.perf_counter() - begin) / len(came)
        begin = time.perf_counter()
        for _ in range(BATCHES):
            worker.call("answer", [])
        call = (time.perf_counter() - begin) / BATCHES
        begin = time.perf_counter()
        for first in range(0, BATCHES, TOGETHER):
            worker.call("answer", came[first : first + TOGETHER])
        trace = (time.perf_counter() - begin - call * BATCHES / TOGETHER) / BATCHES
    print(describe_machine())
    print(f"handing over a trace of {TOKENS:,} tokens: {1e3 * seconds:.2f} ms")
    print(f"a question and its answer: {1e3 * call:.2f} ms, and {1e3 * trace:.2f} ms more per trace in it")


if __name__ == "__main__":
    main()
