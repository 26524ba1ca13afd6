"""The cost model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling import MODELS, Driver, Hardware, Job, cost, decoding_rate, line_through

SMALL, MIDDLE, BIG = MODELS


def test_a_line_through_points_on_a_line_is_that_line() -> None:
    assert line_through([(10, 7), (20, 9), (40, 13)]) == pytest.approx((5, 0.2))


def test_decoding_is_slower_for_longer_traces_and_larger_models() -> None:
    rates = [decoding_rate(model, Job(), Hardware()) for model in MODELS]
    assert rates == sorted(rates, reverse=True)
    assert decoding_rate(MIDDLE, Job(output=32_000), Hardware()) < decoding_rate(MIDDLE, Job(output=2000), Hardware())


def test_a_model_that_fits_with_one_sequence_decodes_at_the_speed_of_its_memory() -> None:
    alone = decoding_rate(MIDDLE, Job(sequences=1, prompt=0, output=0.001), Hardware())
    assert alone == pytest.approx(4.8e12 * 0.6 / MIDDLE.weights, rel=1e-3)


def test_more_samplers_divide_sampling_but_not_the_drivers_work() -> None:
    few, many = (cost(MIDDLE, Job(), gpus, 0.95, Hardware(), Driver()) for gpus in (8, 64))
    assert few.sample == pytest.approx(8 * many.sample)
    assert many.drive >= few.drive and many.verify == few.verify and many.train == few.train and many.move > few.move


def test_the_slowest_concurrent_part_sets_the_time() -> None:
    one = cost(MIDDLE, Job(), 64, 0.95, Hardware(), replace(Driver(), verdict=10.0))
    assert one.collect == one.verify and one.total == one.collect + one.train + one.move


def test_weights_gradients_and_optimizer_state_are_divided() -> None:
    one, eight = (cost(MIDDLE, Job(), 8, 0.95, Hardware(node=node), Driver()).trainer_memory for node in (1, 8))
    assert one == pytest.approx(16 * MIDDLE.parameters)
    assert eight == pytest.approx(2 * MIDDLE.parameters)
