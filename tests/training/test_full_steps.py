"""Steps and passes of equal size."""

from __future__ import annotations

from collections import Counter

from selfimprove.training.trl.full_steps import order_of_rows, rows_at_once, step_size


def test_a_pass_has_as_many_rows_as_fit_and_divide_the_step() -> None:
    assert [rows_at_once(8, 10, tokens) for tokens in (1, 10, 19, 20, 39, 40, 79, 80, 10_000)] == [1, 1, 1, 2, 2, 4, 4, 8, 8]
    assert rows_at_once(6, 10, 50) == 3 and rows_at_once(7, 10, 69) == 1


def test_steps_are_equal_for_all_workers_and_no_larger_than_the_rows() -> None:
    assert [step_size(rows, 8, 1) for rows in (100, 8, 5, 1)] == [8, 8, 5, 1]
    assert [step_size(rows, 8, 2) for rows in (100, 7, 3, 1)] == [8, 6, 2, 2]


def test_each_epoch_has_each_row_once_in_an_order_of_its_own() -> None:
    order = order_of_rows(7, 17, seed=1)
    assert sorted(order[:7]) == sorted(order[7:14]) == list(range(7)) and order[:7] != order[7:14]
    assert set(Counter(order).values()) == {2, 3}
    assert order_of_rows(7, 14, seed=1) == order[:14] and order_of_rows(7, 14, seed=2) != order[:14]
