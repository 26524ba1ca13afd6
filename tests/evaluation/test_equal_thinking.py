"""Settings are compared at equal thinking tokens."""

from __future__ import annotations

import pytest

from selfimprove.evaluation.budget_curve import Attempt, Setting
from selfimprove.evaluation.equal_thinking import at_equal_tokens

NEEDED = {f"easy-{n}": 4 for n in range(20)} | {f"hard-{n}": 12 for n in range(20)}


def setting(name: str, limits: dict[str, int]) -> Setting:
    return Setting(name, 0, None, {problem: [Attempt(limit >= NEEDED[problem], limit)] for problem, limit in limits.items()})


FOR_ALL = [setting(f"at most {most}", dict.fromkeys(NEEDED, most)) for most in (2, 4, 8, 12, 16)]


def test_a_budget_that_fits_each_problem_beats_one_for_all() -> None:
    found = at_equal_tokens(setting("fitting", NEEDED), FOR_ALL)
    assert (found.thinking_tokens, found.accuracy, found.one_for_all) == pytest.approx((8, 1.0, 0.5))
    assert found.difference == pytest.approx(0.5) and 0.25 < found.low < found.high < 0.75


def test_one_for_all_is_interpolated_between_its_two_nearest_budgets() -> None:
    between = {problem: 8 if int(problem[5:]) % 2 else 12 for problem in NEEDED}
    found = at_equal_tokens(setting("by lot", between), FOR_ALL)
    assert (found.thinking_tokens, found.accuracy, found.one_for_all, found.difference) == pytest.approx((10, 0.75, 0.75, 0))
    assert found.low < 0 < found.high


@pytest.mark.parametrize("place", range(5))
def test_one_budget_for_all_does_not_differ_from_itself(place: int) -> None:
    found = at_equal_tokens(FOR_ALL[place], FOR_ALL)
    assert abs(found.difference) + abs(found.low) + abs(found.high) < 1e-9


def test_settings_of_different_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="different problems"):
        at_equal_tokens(setting("one", {"easy-1": 4}), FOR_ALL)
