import random
from math import exp, log

import pytest

from selfimprove.process_reward.quality import calibrate, measure


def drawn(size: int, center: float, scale: float, seed: int = 0) -> tuple[list[float], list[float], list[str]]:
    """Logits whose calibrated probabilities are those of the labels' distribution: four rollouts each."""
    chance = random.Random(seed)
    logits = [chance.gauss(center, 2 * scale) for _ in range(size)]
    shares = [1 / (1 + exp(-(logit - center) / scale)) for logit in logits]
    labels = [sum(chance.random() < share for _ in range(4)) / 4 for share in shares]
    return logits, labels, [f"p{number // 3}" for number in range(size)]


def test_calibration_recovers_center_and_scale() -> None:
    import numpy

    logits, labels, _ = drawn(4000, center=1.5, scale=3.0)
    center, scale = calibrate(numpy.array(logits), numpy.array(labels))
    assert center == pytest.approx(1.5, abs=0.3) and scale == pytest.approx(3.0, rel=0.1)


def test_calibrated_probabilities_match_the_labels() -> None:
    quality = measure(*drawn(4000, center=1.5, scale=3.0))
    assert sum(one.thoughts for one in quality.reliability) == quality.thoughts == 4000
    assert all(one.predicted == pytest.approx(one.observed, abs=0.06) for one in quality.reliability)
    assert quality.brier < quality.brier_uncalibrated and quality.brier < quality.brier_constant
    assert quality.problems == 1334 and quality.auroc is not None and quality.auroc > 0.8


def test_random_logits_have_no_skill() -> None:
    chance = random.Random(1)
    _, labels, problems = drawn(2000, center=0.0, scale=1.0)
    quality = measure([chance.gauss(0, 1) for _ in labels], labels, problems)
    assert quality.auroc == pytest.approx(0.5, abs=0.05)
    assert quality.brier == pytest.approx(quality.brier_constant, abs=0.01)


def test_knowing_hard_problems_does_not_raise_the_auroc_within_problems() -> None:
    labels = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    quality = measure([2.0, 2.0, 2.0, -2.0, -2.0, -2.0], labels, ["easy"] * 3 + ["hard"] * 3)
    assert quality.auroc == pytest.approx(2 / 3) and quality.auroc_within == 0.5


def test_figures_by_hand() -> None:
    # One good and two bad thoughts; a bad one is ranked above the good one, the other below.
    quality = measure([0.0, log(3), -log(3)], [1.0, 0.0, 0.0], ["p1", "p2", "p1"])
    assert quality.auroc == 0.5
    # The good one has only one of them on its own problem to be compared with.
    assert quality.auroc_within == 1.0
    assert quality.brier_uncalibrated == pytest.approx((0.25 + 0.75**2 + 0.25**2) / 3)
    assert quality.brier_constant == pytest.approx(2 / 9)


def test_thoughts_of_one_kind_have_no_auroc_and_a_finite_calibration() -> None:
    quality = measure([1.0, 2.0, 3.0, 4.0], [1.0] * 4, ["p1", "p1", "p2", "p2"])
    assert quality.auroc is None and quality.auroc_within is None and abs(quality.center) < 1e4 and 0 < quality.scale < 1e4
    with pytest.raises(ValueError, match="no thought"):
        measure([], [], [])
