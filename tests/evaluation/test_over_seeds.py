"""Means over seeds and problems."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove.evaluation import over_seeds as module
from selfimprove.evaluation.over_seeds import over_seeds
from selfimprove.evaluation.paired import bootstrap

RATES = st.lists(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=6, max_size=6), min_size=2, max_size=4)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESAMPLES", "BATCH"):
        monkeypatch.setattr(module, name, 500)


def named(rows: list[list[float]]) -> list[dict[str, float]]:
    return [{f"p{number}": value for number, value in enumerate(row)} for row in rows]


@settings(max_examples=20)
@given(RATES, st.booleans())
def test_the_order_of_seeds_and_problems_does_not_matter(rows: list[list[float]], shared: bool) -> None:
    values = named(rows)
    found = over_seeds(values, shared)
    assert over_seeds([dict(reversed(row.items())) for row in reversed(values)], shared) == found
    assert min(map(min, rows)) <= found.low <= found.mean <= found.high <= max(map(max, rows))
    assert found.smallest <= found.mean <= found.largest and found.mean == pytest.approx(numpy.mean(rows))


def test_one_seed_is_the_bootstrap_over_problems() -> None:
    row = [0.0, 1.0, 1.0, 0.5, 0.0, 1.0, 0.25]
    for shared in (True, False):
        found = over_seeds(named([row]), shared)
        assert (found.low, found.high) == bootstrap(row, 0, level=0.95)[:2] and found.smallest == found.largest == found.mean


def test_more_seeds_on_the_same_problems_leave_the_doubt_about_problems() -> None:
    """Seeds that agree on every problem are no further evidence, unless each has problems of its own."""
    row = [float(number % 3 == 0) for number in range(60)]
    one, same, own = over_seeds(named([row]), True), over_seeds(named([row] * 5), True), over_seeds(named([row] * 5), False)
    assert same.high - same.low == pytest.approx(one.high - one.low, abs=0.03)
    assert own.high - own.low < 0.6 * (one.high - one.low)


def test_seeds_that_differ_widen_the_interval_and_seeds_weigh_the_same_whatever_their_problems() -> None:
    table = [[0.2] * 30, [0.8] * 30]
    alike = [[0.5] * 29 + [0.4]] * 2
    assert over_seeds(named(table), True).high == pytest.approx(0.8) and over_seeds(named(alike), True).high < 0.51
    assert over_seeds(named([[0.0] * 10, [1.0] * 90]), False).mean == 0.5


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("between_seeds", "between_problems"), [(0.0, 0.3), (0.05, 0.3), (0.1, 0.1)])
def test_the_interval_covers_the_truth(shared: bool, between_seeds: float, between_problems: float) -> None:
    """Of runs simulated with three seeds and 60 problems, nine in ten intervals hold the true mean: also where seeds differ a lot."""
    rng, runs, hits = numpy.random.default_rng(7), 120, 0
    for _ in range(runs):
        chance = 0.5 + rng.normal(0, between_seeds, (3, 1)) + rng.normal(0, between_problems, (1 if shared else 3, 60))
        found = over_seeds(named((rng.random((3, 60)) < chance).astype(float).tolist()), shared)
        # By symmetry.
        hits += found.low <= 0.5 <= found.high
    assert hits / runs > 0.87
