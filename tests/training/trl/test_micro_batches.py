from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from selfimprove.training.trl.micro_batches import Plan, plan

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=30)


def steps_of(planned: Plan, workers: int) -> list[list[int]]:
    """The rows of each step."""
    size = planned.per_step * workers
    return [sorted(row for batch in planned.batches[start : start + size] for row in batch) for start in range(0, len(planned.batches), size)]


@given(LENGTHS, st.integers(1, 9), st.integers(1, 12), st.integers(1, 120), st.integers(1, 4), st.booleans())
def test_every_epoch_has_every_row_once_and_no_micro_batch_is_too_large(
    lengths: list[int], batch_size: int, steps: int, tokens: int, workers: int, padded: bool
) -> None:
    planned = plan(lengths, batch_size=batch_size, steps=steps, tokens=tokens, workers=workers, padded=padded)
    assert len(planned.batches) == steps * planned.per_step * workers
    found = steps_of(planned, workers)
    per_epoch = -(-len(lengths) // batch_size)
    for start in range(0, steps - per_epoch + 1, per_epoch):
        assert Counter(row for step in found[start : start + per_epoch] for row in step) == Counter(range(len(lengths)))
    for batch in planned.batches:
        cost = len(batch) * max((lengths[row] for row in batch), default=0) if padded else sum(lengths[row] for row in batch)
        assert len(batch) <= 1 or cost <= tokens


@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(1, 120))
def test_the_rows_of_a_step_do_not_depend_on_how_it_is_divided(lengths: list[int], batch_size: int, workers: int, tokens: int) -> None:
    whole = plan(lengths, batch_size=batch_size, steps=5, tokens=10_000)
    divided = plan(lengths, batch_size=batch_size, steps=5, tokens=tokens, workers=workers)
    assert whole.per_step == 1
    assert steps_of(whole, 1) == steps_of(divided, workers)


def test_thirty_two_rows_of_eight_thousand_tokens_are_computed_two_by_two() -> None:
    planned = plan([8_000] * 32, batch_size=32, steps=1, tokens=16_384)
    assert planned.per_step == 16
    assert {len(batch) for batch in planned.batches} == {2}
    assert plan([8_000] * 32, batch_size=32, steps=1, tokens=16_384, workers=8).per_step == 2


def test_a_step_with_fewer_rows_than_workers_gives_the_others_none() -> None:
    assert sorted(plan([3, 4], batch_size=2, steps=1, tokens=100, workers=4).batches) == [[], [], [0], [1]]


def test_rows_are_shuffled_again_each_epoch_and_by_the_seed() -> None:
    orders = [plan([1] * 20, batch_size=20, steps=2, tokens=1, seed=seed).batches for seed in (0, 1)]
    assert len({tuple(map(tuple, order[start : start + 20])) for order in orders for start in (0, 20)}) == 4
