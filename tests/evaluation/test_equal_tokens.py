"""Ways to spend tokens are compared at equal numbers of tokens."""

from __future__ import annotations

import pytest

from selfimprove.evaluation.equal_tokens import Spent, curves, difference, early_stop, point, solve_rates
from selfimprove.evaluation.reranking import ScoredAnswer, any_one, majority

RIGHT, WRONG = ScoredAnswer("7", True, 0.9, 10), ScoredAnswer("8", False, 0.1, 30)
POOL = {"a": [RIGHT, WRONG, WRONG, RIGHT], "b": [WRONG] * 4, "c": [RIGHT] * 4}


def test_samples_are_grouped_and_fractional_numbers_interpolated() -> None:
    assert solve_rates(POOL, any_one, 1) == {"a": 0.5, "b": 0, "c": 1}
    assert solve_rates(POOL, majority, 2) == {"a": 0.5, "b": 0, "c": 1}, "right first, then wrong first"
    assert solve_rates(POOL, majority, 3)["a"] == 0
    assert solve_rates(POOL, majority, 2.25)["a"] == pytest.approx(0.75 * 0.5)
    assert solve_rates(POOL, majority, 0.5) == solve_rates(POOL, majority, 1)
    assert solve_rates(POOL, majority, 99) == solve_rates(POOL, majority, 4)


def test_curves_reach_the_whole_pool() -> None:
    found = {(one.choice, one.samples): one for one in curves(POOL)}
    assert sorted(samples for choice, samples in found if choice == "majority") == [1, 2, 4]
    assert [samples for choice, samples in found if choice == "plain sampling"] == [1]
    assert found["best of N", 4].accuracy == pytest.approx(2 / 3) and found["best of N", 4].tokens == pytest.approx(4 * (20 + 30 + 10) / 3)
    low, high = found["plain sampling", 1].interval
    assert low < found["plain sampling", 1].accuracy == 0.5 < high


def test_a_search_is_compared_with_samples_worth_as_many_tokens() -> None:
    spent = Spent("beam", {"a": [RIGHT], "b": [RIGHT], "c": [RIGHT, WRONG]}, {"a": 30, "b": 60, "c": 45}, 9)
    assert point(spent, "best of N", POOL).samples == pytest.approx(45 / 20) and point(spent, "best of N", POOL).accuracy == 1
    gap = difference(spent, "best of N", "majority", POOL)
    assert gap.samples == 2.25 and gap.difference == pytest.approx((1 - 0.375 + 1 + 0) / 3) and gap.low < gap.difference < gap.high
    assert difference(spent, "best of N", "plain sampling", POOL).difference == pytest.approx(0.5)
    with pytest.raises(ValueError, match="different problems"):
        difference(Spent("beam", {"a": [RIGHT]}, {"a": 30}, 1), "best of N", "majority", POOL)


def test_early_stopping_is_compared_with_as_many_plain_samples() -> None:
    given_up = ScoredAnswer(None, False, 0.1, 5)
    spent = Spent("early stop", {"a": [RIGHT, given_up], "b": [given_up] * 2, "c": [RIGHT] * 2}, {"a": 18, "b": 12, "c": 24}, 12)
    stop = early_stop(spent, 3, POOL)
    assert (stop.traces, stop.hopeless, stop.tokens, stop.plain_tokens) == (6, 3, 18, 40)
    assert stop.right_per_1000 == pytest.approx(1000 * 3 / 54) and stop.plain_right_per_1000 == pytest.approx(1000 * 6 / 240)
