"""Dispatch to simulated actors, in simulated time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.simulated_actors import Setting, simulate
from selfimprove.cluster.dispatch import Dispatch
from selfimprove.protocols import Load

SMALL = Setting(actors=6, places=16, requests_per_place=48)


class TwoLargeCalls(Dispatch):
    """Always two calls per copy, however few results they still owe."""

    def __init__(self, calls: Iterable[tuple[Any, ...] | None], copies: int, load: Load | None) -> None:
        super().__init__(calls, copies, None)


def test_actors_of_uneven_speed_stay_busy_and_finish_together() -> None:
    told = simulate(SMALL, seed=0)
    assert told.traces == 6 * 16 * 48
    assert told.busy > 0.95 and told.tail < 0.05
    assert told.places > 0.9 and told.places_tail < 0.1


def test_dispatch_by_missing_results_beats_a_fixed_number_of_calls() -> None:
    assert simulate(SMALL, seed=0).places > simulate(SMALL, seed=0, dispatch=TwoLargeCalls).places


def test_equal_requests_on_equal_actors_leave_hardly_a_round_idle() -> None:
    even = Setting(actors=4, places=8, requests_per_place=20, spread=0.0, speeds=0.0, hand_over_seconds=0.0, send_seconds=0.0)
    assert simulate(even, seed=0).places > 0.95
