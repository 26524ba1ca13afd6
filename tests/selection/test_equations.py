"""Equations in a trace are checked."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.selection.equations import false_equations

NUMBERS = st.lists(st.integers(-99, 99), min_size=2, max_size=6)


@given(NUMBERS, st.data(), st.sampled_from(["", "So ", "Then we have: ", "1 + 1 = 2.\n"]), st.integers(-5, 5))
def test_an_equation_is_false_exactly_where_its_sides_differ(numbers, data, before, error):
    signs = [data.draw(st.sampled_from("+-*")) for _ in numbers[1:]]
    left = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=True))
    text = f"{left} = {eval(left) + error}"
    assert list(false_equations(f"{before}{text}.\nThat is it.")) == ([text] if error else [])


@pytest.mark.parametrize(
    "text",
    [
        "10 / 3 = 3.33",
        "1,200 + 300 = 1,500.",
        "$5 + $3 = $8",
        "2 + 3 = 5 + 4 = 9",
        "x - 2 + 5 = 9",
        "2x + 3 = 7",
        "2^3 + 1 = 9",
        "(2 + 3) * 4 = 20",
        "7 / 0 = 1",
        "3.5 + 1 = 4.5",
        "a = 3 + 4 = 7",
        "5 - 3 = 2%",
        "−3 − 4 = −7",
    ],
)
def test_true_equations_and_other_texts_pass(text):
    assert list(false_equations(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>\n4 - 7 = 3.\n3 - 7 = -3.\n</think>\n-3", ["4 - 7 = 3", "3 - 7 = -3"]),
        ("8 - 2 = 6, so 2 - 8 = 6.", ["2 - 8 = 6"]),
        ("10 / 3 = 3", ["10 / 3 = 3"]),
        ("10 / 4 = 2.6", ["10 / 4 = 2.6"]),
        ("2 + 3 = 6 (I think)", ["2 + 3 = 6"]),
        ("Check: 2 × 3 = 5.", ["2 × 3 = 5"]),
    ],
)
def test_false_equations_are_found(text, found):
    assert list(false_equations(text)) == found


@pytest.mark.parametrize("text", ["1+" * 50_000, "1" * 100_000, "1 + 1 = " * 20_000, "- " * 50_000, "1,111" * 20_000])
def test_the_time_is_linear_for_any_text(text):
    began = time.perf_counter()
    list(false_equations(text))
    assert time.perf_counter() - began < 5
