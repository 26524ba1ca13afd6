"""The memory model: against what was measured on a GPU, and against its own limits."""

from __future__ import annotations

import pytest

from benchmarks.memory import ROWS, check
from benchmarks.random_models import QWEN, SMALL
from selfimprove.checkpoints.memory import Engine, sampling_memory, tokens_that_fit, training_memory

GIB = 1 << 30
GB = 10**9


def test_parameters_follow_from_the_shape() -> None:
    assert SMALL.parameters == pytest.approx(134.5e6, rel=0.001)
    assert QWEN["1.5B"].parameters == pytest.approx(1543.7e6, rel=0.001)
    assert QWEN["7B"].parameters == pytest.approx(7615e6, rel=0.005)


def test_the_peak_that_was_measured_on_an_h200_lies_between_those_of_a_mean_and_of_a_full_step() -> None:
    """68.8 GiB were allocated in a training of this shape; its steps of 8 rows had 9,400 tokens on average and at most 16,384."""
    mean, long, full = (training_memory(QWEN["1.5B"], "small", tokens).peak / GIB for tokens in (9_400, 11_000, 16_384))
    assert mean < 68.8 < full
    assert long == pytest.approx(68.8, rel=0.03)


@pytest.mark.parametrize("engine", ["small", "trl"])
def test_more_of_anything_takes_more(engine: Engine) -> None:
    of = QWEN["7B"]
    some = training_memory(of, engine, 8_000)
    assert training_memory(of, engine, 16_000).peak > some.peak > training_memory(of, engine, 8_000, scored=1_000).peak - 1
    assert training_memory(of, engine, 8_000, checkpointing=True).peak < some.peak < training_memory(of, engine, 8_000, parts=2).peak
    assert training_memory(of, engine, 8_000, lora_rank=16).peak < some.peak
    assert training_memory(of, "trl", 8_000, gpus=8).peak < training_memory(of, "trl", 8_000, gpus=2).peak
    assert training_memory(of, engine, 8_000).peak < training_memory(QWEN["14B"], engine, 8_000).peak


def test_a_training_state_takes_sixteen_bytes_a_weight_with_either_engine() -> None:
    for engine in ("small", "trl"):
        one = training_memory(QWEN["7B"], engine, 1, checkpointing=True)
        # Autocast's copy of one layer.
        copies = 2 * (QWEN["7B"].parameters // 28) if engine == "trl" else 0
        assert one.weights - copies + one.optimizer + one.gradients == pytest.approx(16 * QWEN["7B"].parameters, rel=1e-6)


def test_as_many_tokens_fit_as_the_peak_allows_and_not_one_more() -> None:
    of, device = QWEN["1.5B"], 80 * GB
    most = tokens_that_fit(of, "trl", device, checkpointing=True)
    sizes = [training_memory(of, "trl", tokens, checkpointing=True, parts=2).peak + GIB for tokens in (most, most + 1)]
    assert sizes[0] <= 0.9 * device < sizes[1]
    assert tokens_that_fit(QWEN["72B"], "trl", device, checkpointing=True) == 0


def test_an_engine_keeps_what_weights_and_work_leave() -> None:
    one = sampling_memory(QWEN["7B"], 80 * GB, 0.9)
    assert one.weights == 2 * QWEN["7B"].parameters and one.per_token == 57_344
    assert one.weights + one.working + one.cache + GIB == 72 * GB and one.tokens == one.cache // 57_344
    two = sampling_memory(QWEN["7B"], 80 * GB, 0.9, gpus=2)
    assert two.weights == one.weights // 2 and two.per_token == one.per_token // 2
    assert sampling_memory(QWEN["72B"], 24 * GB, 0.9).tokens == 0


@pytest.mark.trl
def test_the_model_agrees_with_what_torch_allocates() -> None:
    ((name, expected, measured),) = check([("small", False)], [(256, 1024, 2, 4, 2, 2048, 300)])
    assert f"{ROWS} rows of 300" in name
    assert expected == pytest.approx(measured, rel=0.1)
