"""Sums of n digits and their scratchpads."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from selfimprove.problems.addition import Addition, scratchpad
from selfimprove.selection.equations import false_equations


@given(st.integers(1, 6).flatmap(lambda digits: st.tuples(*[st.integers(10 ** (digits - 1), 10**digits - 1)] * 2)))
def test_a_scratchpad_holds_true_equations_and_the_digits_of_the_sum(pair: tuple[int, int]) -> None:
    lines = scratchpad(*pair)
    assert not list(false_equations(lines))
    totals = re.findall(r"= (\d+)", lines)
    assert int(totals[-1] + "".join(total[-1] for total in reversed(totals[:-1]))) == sum(pair)
    assert lines.count("carry") == sum(len(total) == 2 for total in totals)


@given(st.sets(st.integers(1, 5), min_size=1), st.integers(1, 60), st.integers())
def test_problems_are_distinct_and_have_the_requested_digits(digits: set[int], size: int, seed: int) -> None:
    problems = Addition(tuple(digits), size, seed).load()
    assert problems == Addition(tuple(digits), size, seed).load()
    assert len({problem.question for problem in problems}) == len({problem.id for problem in problems}) == len(problems) == size * len(digits)
    for problem in problems:
        left, right = re.findall(r"\d+", problem.question)
        assert len(left) == len(right) == problem.metadata["digits"] and int(left) + int(right) == int(problem.answer)


def test_there_are_at_most_81_sums_of_one_digit() -> None:
    assert len(Addition((1,), 500).load()) == 81
