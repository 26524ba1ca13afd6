"""Dispatch to simulated actors, in simulated time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.simulated_actors import Setting, simulate
from selfimprove.cluster.dispatch import Dispatch
from selfimprove.protocols import Load

SMALL = Setting(actors=6, slots=16, requests_per_slot=48)


class TwoLargeCalls(Dispatch):
    """Always two calls per copy, however few results they still owe."""

    def __init__(self, calls: Iterable[tuple[Any, ...] | None], copies: int, load: Load | None) -> None:
        super().__init__(calls, copies, None)


def test_actors_of_uneven_speed_are_kept_busy_and_end_together() -> None:
    shares = simulate(SMALL, seed=0)
    assert shares.traces == 6 * 16 * 48
    assert shares.busy > 0.95 and shares.tail < 0.05
    assert shares.slots > 0.9 and shares.slots_tail < 0.1


def test_keeping_actors_full_by_missing_results_beats_a_fixed_number_of_calls() -> None:
    assert simulate(SMALL, seed=0).slots > simulate(SMALL, seed=0, dispatch=TwoLargeCalls).slots


def test_equal_requests_on_equal_actors_leave_hardly_a_round_idle() -> None:
    even = Setting(actors=4, slots=8, requests_per_slot=20, spread=0.0, speeds=0.0, hand_over_seconds=0.0, send_seconds=0.0)
    assert simulate(even, seed=0).slots > 0.95
