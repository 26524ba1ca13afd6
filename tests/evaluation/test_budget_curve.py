"""The points of a budget curve and s1's three figures, checked against their definitions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove.evaluation.budget_curve import Attempt, Setting, curve, fitting, scaling

ATTEMPTS = st.builds(Attempt, st.booleans(), st.integers(0, 60))
LIMIT = st.tuples(st.integers(0, 20), st.none() | st.integers(20, 60))


@st.composite
def settings_of_one_evaluation(draw: st.DrawFn) -> list[Setting]:
    problems = [f"p{number}" for number in range(draw(st.integers(1, 6)))]
    limits = draw(st.lists(LIMIT, min_size=1, max_size=4))
    one = st.lists(ATTEMPTS, max_size=4)
    return [Setting(str(place), *limit, {problem: draw(one) for problem in problems}) for place, limit in enumerate(limits)]


@given(settings_of_one_evaluation())
@settings(max_examples=25)
def test_every_figure_stays_within_its_bounds(asked):
    found = curve("any", "model", asked)
    assert len(found.points) == len(asked) and found.problems == len(asked[0].attempts)
    for point, setting in zip(found.points, asked, strict=True):
        low, high = point.interval
        assert 0 <= low <= point.accuracy <= high <= 1
        assert point.unanswered == pytest.approx(sum(not several for several in setting.attempts.values()) / found.problems)
        assert (point.thinking_tokens is None) == (point.within is None) == (point.unanswered == 1)
        assert point.accuracy <= 1 - point.unanswered + 1e-9
        assert point.accuracy <= found.performance
    assert found.control is None or 0 <= found.control <= 1
    if found.scaling_interval:
        assert found.scaling_interval[0] <= found.scaling_interval[1]


def test_a_point_is_a_mean_over_problems():
    attempts = {"p": [Attempt(True, 10), Attempt(False, 20)], "q": [Attempt(True, 4)], "r": []}
    (point,) = curve("any", "model", [Setting("5 to 15", 5, 15, attempts)]).points
    assert point.accuracy == pytest.approx((0.5 + 1 + 0) / 3)
    assert point.thinking_tokens == pytest.approx((15 + 4) / 2)
    assert point.within == pytest.approx(1 / 3) and point.unanswered == pytest.approx(1 / 3)


def test_control_covers_the_settings_that_limit_tokens():
    attempts = {"p": [Attempt(True, 10)], "q": [Attempt(True, 30)]}
    asked = [Setting("at most 20", 0, 20, attempts), Setting("at least 5", 5, None, attempts), Setting("own", 0, None, attempts)]
    assert curve("any", "model", asked).control == pytest.approx((0.5 + 1) / 2)
    assert curve("any", "model", asked[2:]).control is None


@given(st.lists(st.integers(0, 500), min_size=2, max_size=8, unique=True), st.floats(-1, 1), st.floats(-0.01, 0.01))
def test_the_scaling_of_a_straight_line_is_its_slope_per_100_tokens(tokens, start, slope):
    assert scaling([(token, start + slope * token) for token in tokens]) == pytest.approx(100 * slope, abs=1e-9)


def test_scaling_is_the_mean_over_all_pairs_of_different_length():
    bent = [(0.0, 0.0), (10.0, 0.5), (20.0, 0.5)]
    assert scaling(bent) == pytest.approx(100 * (0.05 + 0.025 + 0.0) / 3)
    assert scaling(bent[::-1]) == pytest.approx(scaling(bent))
    assert scaling([(10.0, 0.1), (10.2, 0.9)]) is None and scaling(bent[:1]) is None
    assert scaling([(0.0, 0.0), (10.0, 0.5), (10.2, 0.5)]) == pytest.approx(100 * (0.05 + 0.5 / 10.2) / 2)


def test_the_interval_of_scaling_has_width_only_if_problems_differ():
    def evaluation(rights: list[bool], length: int) -> dict[str, list[Attempt]]:
        return {f"p{number}": [Attempt(right, length)] for number, right in enumerate(rights)}

    alike = [Setting("short", 0, 5, evaluation([False] * 30, 5)), Setting("long", 0, None, evaluation([True] * 30, 15))]
    assert curve("any", "model", alike).scaling_interval == pytest.approx((10.0, 10.0))
    half = [alike[0], Setting("long", 0, None, evaluation([True, False] * 15, 15))]
    found = curve("any", "model", half)
    low, high = found.scaling_interval
    assert found.scaling == pytest.approx(5.0) and 2 < low < 4 and 6 < high < 8
    assert curve("any", "model", half) == found


def test_rejection_sampling_counts_the_fitting_attempts():
    attempts = {
        "short and right": [Attempt(True, 3), Attempt(True, 9)],
        "long and right": [Attempt(False, 3), Attempt(False, 4), Attempt(True, 9)],
        "always long": [Attempt(True, 8), Attempt(True, 9)],
    }
    asked = [Setting(str(most), 0, most, fitting(attempts, 0, most)) for most in (4, 8, None)]
    four, eight, all_of_them = curve("rejection sampling", "model", asked).points
    assert (four.accuracy, four.unanswered, four.within) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 1.0)
    assert four.thinking_tokens == pytest.approx((3 + 3.5) / 2)
    assert (eight.accuracy, eight.unanswered) == (pytest.approx(2 / 3), 0)
    assert all_of_them.accuracy == pytest.approx((1 + 1 / 3 + 1) / 3)


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(ATTEMPTS, max_size=6)), st.integers(0, 60), st.integers(0, 60))
def test_attempts_that_fit_a_smaller_maximum_fit_a_larger_one(attempts, first, second):
    small, large = (fitting(attempts, 0, most) for most in sorted((first, second)))
    assert small.keys() == large.keys() == attempts.keys()
    assert all(set(small[problem]) <= set(large[problem]) <= set(attempts[problem]) for problem in attempts)
    assert fitting(attempts, 0, None) == attempts


def test_settings_of_different_problems_are_refused():
    with pytest.raises(ValueError, match="different problems"):
        curve("any", "model", [Setting("a", 0, None, {"p": []}), Setting("b", 0, None, {"q": []})])
