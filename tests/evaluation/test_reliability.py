"""Measures of predicted solve rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.evaluation.reliability import Forecast, reliability

forecasts = st.lists(
    st.builds(lambda rate, samples, share: Forecast(rate, round(share * samples), samples), st.floats(0, 1), st.integers(1, 9), st.floats(0, 1)),
    min_size=1,
    max_size=50,
)


def test_the_measures_match_the_formulas() -> None:
    found = reliability([Forecast(0.9, 2, 2), Forecast(0.6, 1, 2), Forecast(0.1, 0, 4)], bins=3)
    assert found.brier == pytest.approx((2 * 0.01 + 0.16 + 0.36 + 4 * 0.01) / 8)
    assert found.base_brier == pytest.approx(3 / 8 * 5 / 8)
    # Of three right and five wrong samples: two right ones above all wrong ones, one tied with one and above four.
    assert found.auroc == pytest.approx((2 * 5 + 4 + 0.5) / 15)
    assert found.calibration_error == pytest.approx((4 * 0.1 + 2 * 0.1 + 2 * 0.1) / 8)
    assert [(one.predicted, one.observed, one.samples) for one in found.bins] == [(0.1, 0, 4), (0.6, 0.5, 2), (0.9, 1, 2)]


@given(forecasts, st.floats(0, 1))
def test_no_constant_beats_the_base_rate(several: list[Forecast], constant: float) -> None:
    same = reliability([Forecast(constant, one.right, one.samples) for one in several])
    assert same.brier >= same.base_brier - 1e-12
    assert same.auroc in (None, 0.5)
    rate = sum(one.right for one in several) / sum(one.samples for one in several)
    best = reliability([Forecast(rate, one.right, one.samples) for one in several])
    assert best.brier == pytest.approx(best.base_brier, abs=1e-12)


@given(forecasts)
def test_every_problem_is_in_one_bin(several: list[Forecast]) -> None:
    found = reliability(several, bins=5)
    assert sum(one.problems for one in found.bins) == found.problems == len(several)
    assert sum(one.samples for one in found.bins) == found.samples
    sizes = {one.problems for one in found.bins}
    assert max(sizes) - min(sizes) <= 1
    assert all(one.interval[0] <= one.observed <= one.interval[1] for one in found.bins)


def test_no_forecasts_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no predictions"):
        reliability([])
