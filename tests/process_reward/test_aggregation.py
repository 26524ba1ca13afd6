import pytest

from selfimprove.process_reward.aggregation import Aggregation, aggregate


@pytest.mark.parametrize(("how", "expected"), [("last", 0.5), ("min", 0.2), ("product", 0.09), ("mean", 0.5333)])
def test_rewards_become_one_number(how: Aggregation, expected: float) -> None:
    assert aggregate((0.9, 0.2, 0.5), how) == pytest.approx(expected, abs=1e-4)
    assert aggregate((0.7,), how) == pytest.approx(0.7)


@pytest.mark.parametrize("how", ["last", "min", "product", "mean"])
def test_a_trace_without_thoughts_has_a_reward_of_zero(how: Aggregation) -> None:
    assert aggregate((), how) == 0
