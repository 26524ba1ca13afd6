"""The regression from features to solve rates, on questions whose true rates are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pytest

from selfimprove import DifficultyModel
from selfimprove.difficulty.model import fit
from selfimprove.records import LedgerEntry

pytestmark = pytest.mark.slow

PART = DifficultyModel()
CHANCE = numpy.random.default_rng(5)
FEATURES = {f"p{n}": numpy.concatenate([CHANCE.normal(size=60), [20 + n % 9]]).astype(numpy.float32) for n in range(300)}


def true_rate(name: str, level: float = 0.0) -> float:
    return float(1 / (1 + numpy.exp(-level - 2 * FEATURES[name][3] + FEATURES[name][7])))


def observed(generation: int = 1, level: float = 0.0, samples: int = 4, seed: int = 0) -> Iterator[LedgerEntry]:
    chance = numpy.random.default_rng(seed)
    for name in FEATURES:
        yield LedgerEntry(name, "train", generation, int(chance.binomial(samples, true_rate(name, level))), samples)


def test_rates_that_depend_on_the_question_are_learnt_and_calibrated() -> None:
    model, found = fit(PART, FEATURES, observed(), seed=0)
    assert found.problems == 300 and found.samples == 1200
    assert found.auroc is not None and found.auroc > 0.8 and found.brier < 0.75 * found.base_brier
    assert found.calibration_error < 0.06
    rates = model.rates(FEATURES)
    assert numpy.corrcoef([rates[name] for name in FEATURES], [true_rate(name) for name in FEATURES])[0, 1] > 0.93


def test_the_base_rate_is_predicted_if_questions_are_uninformative() -> None:
    chance = numpy.random.default_rng(1)
    entries = [LedgerEntry(name, "train", 1, int(chance.binomial(4, 0.3)), 4) for name in FEATURES]
    model, found = fit(PART, FEATURES, entries, seed=0)
    rate = sum(entry.right for entry in entries) / (4 * len(entries))
    assert numpy.mean(list(model.rates(FEATURES).values())) == pytest.approx(rate, abs=0.02)
    assert found.brier < 1.03 * found.base_brier


def test_predictions_are_at_the_level_of_the_last_generation() -> None:
    entries = [*observed(1, -2.0, seed=1), *observed(2, 1.5, seed=2)]
    model, found = fit(PART, FEATURES, entries, seed=0)
    assert numpy.mean(list(model.rates(FEATURES).values())) == pytest.approx(numpy.mean([true_rate(name, 1.5) for name in FEATURES]), abs=0.04)
    assert found.samples == 1200, "the measure is of the last generation's samples"
    assert found.auroc is not None and found.auroc > 0.8


@pytest.mark.parametrize("right", [0, 4])
def test_a_ledger_with_a_single_outcome_gives_rates_near_it(right: int) -> None:
    model, found = fit(PART, FEATURES, [LedgerEntry(name, "train", 1, right, 4) for name in FEATURES], seed=0)
    assert all(abs(rate - right / 4) < 0.01 for rate in model.rates(FEATURES).values())
    assert found.auroc is None


def test_the_order_of_the_ledger_does_not_matter_and_identical_questions_are_fine() -> None:
    entries = list(observed())
    alike = {name: numpy.array([1.0, 2.0], numpy.float32) for name in FEATURES}
    model, _ = fit(PART, alike, entries, seed=0)
    rate = sum(entry.right for entry in entries) / (4 * len(entries))
    assert model.rates({"new": numpy.array([1.0, 2.0], numpy.float32)})["new"] == pytest.approx(rate, abs=0.01)
    first, second = (fit(PART, FEATURES, several, seed=0)[0] for several in (entries, entries[::-1]))
    assert first.bias == second.bias and numpy.array_equal(first.weight, second.weight)


def test_too_few_problems_are_an_error() -> None:
    with pytest.raises(ValueError, match="19 problems are too few"):
        fit(PART, FEATURES, list(observed())[:19], seed=0)
    fit(PART, FEATURES, list(observed())[:20], seed=0)
