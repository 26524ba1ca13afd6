"""Verdicts as a stream: which copy gets which traces, tested without processes of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pytest

from selfimprove import Exact, InlineCluster, Resources
from selfimprove.cluster.dispatch import Call, Dispatch
from selfimprove.protocols import Load
from selfimprove.records import Outcome, Problem, Trace
from selfimprove.verification.pool import OpenVerifierPool, VerifierPool
from selfimprove.verification.stream import LARGEST_SHARE, PENDING, stream_verdicts

PROBLEMS = [Problem(f"p{number}", "", str(number), "test") for number in range(4)]


def traces(begin: int, end: int) -> list[Trace]:
    """Traces of which every second one is right."""
    return [Trace(f"t{n}", f"p{n % 4}", "c", (), (), f"<think>a</think>{n % 4 if n % 2 else 9}", (), "stop", 0.0, 0) for n in range(begin, end)]


class Copies:
    """A worker whose copies answer one call each in turn, the last one first, once its calls are given; every `doubled` answer comes twice."""

    def __init__(self, pool: OpenVerifierPool, copies: int, doubled: bool = False) -> None:
        self._pool, self._copies, self._doubled = pool, copies, doubled
        self.given: list[tuple[int, int]] = []
        """For each call, its copy and the number of its traces."""

    def stream(self, method: str, calls: Iterable[tuple[Any, ...] | None], load: Load | None = None) -> Iterator[list[Any]]:
        dispatch, running = Dispatch(calls, range(self._copies), load), list[Call]()
        while True:
            while call := dispatch.next():
                running.append(call)
                self.given.append((call.copy, len(call.arguments[0])))  # type: ignore[arg-type]
            if not running:
                if dispatch.exhausted:
                    return
                yield []
                continue
            call = running.pop()
            (verdicts,) = getattr(self._pool, method)(*call.arguments)
            dispatch.came(call, verdicts)
            dispatch.ended(call)
            yield [verdicts, verdicts] if self._doubled else [verdicts]


class Cluster(InlineCluster):
    """Opens every part as these copies."""

    def __init__(self, worker: Copies) -> None:
        self.worker = worker

    def open(self, role: str, part: Any) -> Any:
        return self.worker


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenVerifierPool]:
    pool = VerifierPool(Exact(), processes=1).open()
    yield pool
    pool.close()


@pytest.mark.parametrize("copies", [1, 3])
def test_every_trace_has_its_own_verdict_once_although_some_come_twice(opened: OpenVerifierPool, copies: int) -> None:
    worker, batches = Copies(opened, copies, doubled=True), [traces(0, 5), traces(5, 6), traces(6, 100)]
    pool = VerifierPool(Exact(), resources=Resources(copies=copies))
    judged = list(chain.from_iterable(stream_verdicts(pool, PROBLEMS, batches, Cluster(worker))))
    assert sorted(item.trace.id for item in judged) == sorted(f"t{n}" for n in range(100))
    for item in judged:
        expected = Outcome.CORRECT if int(item.trace.id[1:]) % 2 else Outcome.WRONG
        assert (item.verdict.trace_id, item.verdict.outcome) == (item.trace.id, expected)


def test_copies_share_each_batch_and_the_only_copy_gets_it_whole(opened: OpenVerifierPool) -> None:
    def given(copies: int, *batches: Sequence[Trace]) -> list[tuple[int, int]]:
        worker = Copies(opened, copies)
        pool = VerifierPool(Exact(), resources=Resources(copies=copies))
        assert len(list(stream_verdicts(pool, PROBLEMS, batches, Cluster(worker)))) == len(worker.given)
        return worker.given

    assert given(1, traces(0, 200), traces(200, 201)) == [(0, 200), (0, 1)]
    assert given(3, traces(0, 7)) == [(0, 3), (1, 3), (2, 1)]
    assert max(size for _, size in given(3, traces(0, 1000))) == LARGEST_SHARE


def test_further_traces_are_taken_before_the_first_verdict_but_no_more_than_a_copy_can_hold(opened: OpenVerifierPool) -> None:
    taken: list[int] = []

    def batches() -> Iterator[list[Trace]]:
        for begin in range(0, 2 * PENDING, 32):
            taken.append(begin)
            yield traces(begin, begin + 32)

    stream = stream_verdicts(VerifierPool(Exact()), PROBLEMS, batches(), Cluster(Copies(opened, 1)))
    next(stream)
    assert len(taken) == PENDING // 32
    assert 32 + sum(map(len, stream)) == 2 * PENDING


def test_traces_that_wait_for_verdicts_get_them_before_they_are_asked_again(opened: OpenVerifierPool) -> None:
    known: set[str] = set()

    def batches() -> Iterator[list[Trace]]:
        yield traces(0, 3)
        yield traces(3, 6)
        while len(known) < 6:
            yield []
        yield traces(6, 7)

    for judged in stream_verdicts(VerifierPool(Exact()), PROBLEMS, batches(), Cluster(Copies(opened, 1))):
        known |= {item.trace.id for item in judged}
    assert known == {f"t{n}" for n in range(7)}


def test_traces_that_wait_for_verdicts_that_nobody_owes_end_the_stream(opened: OpenVerifierPool) -> None:
    stream = stream_verdicts(VerifierPool(Exact()), PROBLEMS, iter(lambda: [], None), Cluster(Copies(opened, 1)))
    assert list(stream) == []


def test_a_copy_verifies_as_many_answers_at_once_as_it_reserves_cpus() -> None:
    for resources, processes in ((Resources(cpus=3), 3), (Resources(cpus=2.5), 3)):
        opened = VerifierPool(Exact(), resources=resources).open()
        assert opened._processes == processes
        opened.close()
