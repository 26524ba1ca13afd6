"""Sums of n digits and their scratchpads."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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


def test_index_hints_write_the_same_sums_backwards_with_a_letter_for_each_place() -> None:
    digits = (1, 3, 9, 12, 26)
    plain, hinted = Addition(digits, 20, 5).load(), Addition(digits, 20, 5, index_hints=True).load()
    for one, other in zip(plain, hinted, strict=True):
        assert (one.id, one.metadata) == (other.id, other.metadata)
        left, right = other.question.rstrip(" =").split(" + ")
        assert left[::2] == right[::2] and left[::2] in string.ascii_lowercase
        assert [left[1::2][::-1], right[1::2][::-1]] == re.findall(r"\d+", one.question)
        assert other.answer[: len(left)][::2] == left[::2].upper()
        assert re.sub("[A-Z]", "", other.answer)[::-1] == one.answer
    assert {problem.question[0] for problem in Addition((1,), 81, index_hints=True).load()} > {*"aez"}


def test_there_are_26_letters_for_hints() -> None:
    with pytest.raises(ValidationError, match="digits can be at most 26"):
        Addition((3, 27), index_hints=True)
    assert len(Addition((27,), 5).load()) == 5
