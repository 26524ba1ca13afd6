"""Numbers are compared as math-verify compares them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import mark

from selfimprove.records import Outcome
from selfimprove.verification.mathematical import _by_math_verify
from selfimprove.verification.numerals import compare_numerals

WHOLE = st.integers(-9, 9) | st.integers(-999_999, 999_999)
POSITIVE = st.integers(1, 9) | st.integers(1, 999_999)
DECIMALS = st.builds(lambda whole, places: f"{whole}.{places}", WHOLE, st.text("0123456789", min_size=1, max_size=5) | st.sampled_from("05"))
FRACTIONS = st.builds(
    lambda sign, a, b, form: sign + form.format(a=a, b=b),
    st.sampled_from(["", "-"]),
    POSITIVE,
    POSITIVE,
    st.sampled_from(["{a}/{b}", r"\frac{{{a}}}{{{b}}}"]),
)
NUMERALS = st.one_of(WHOLE.map(str), DECIMALS, FRACTIONS)


WRAPS = st.sampled_from(["{}", "${}$", "$ {} $", r"\boxed{{{}}}", r"$\boxed{{{}}}$"])


@given(NUMERALS, NUMERALS, WRAPS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_short_cut_agrees_with_math_verify(reference: str, answer: str, wrap: str, same: bool) -> None:
    written = wrap.format(reference if same else answer)
    outcome = compare_numerals(reference, written)
    assert outcome is None or outcome is _by_math_verify(reference, written)


@given(st.tuples(POSITIVE, POSITIVE, st.integers(1, 9)), st.booleans(), st.sampled_from(["{a}/{b}", r"\frac{{{a}}}{{{b}}}"]))
@settings(max_examples=40, deadline=None)
def test_it_agrees_on_fractions_of_equal_or_nearly_equal_value(parts: tuple[int, int, int], equal: bool, form: str) -> None:
    a, b, times = parts
    if max(a, b) * times >= 10**6:
        times = 1
    reference, answer = rf"\frac{{{a}}}{{{b}}}", form.format(a=a * times if equal else min(a * times + 1, 999_999), b=b * times)
    assert compare_numerals(reference, answer) is _by_math_verify(reference, answer)


@mark.parametrize(
    ("reference", "answer", "outcome"),
    [
        ("5", "5.0", Outcome.CORRECT),
        ("0.5", "0.50", Outcome.CORRECT),
        ("-3", "3", Outcome.WRONG),
        ("1/2", r"\frac{2}{4}", Outcome.CORRECT),
        ("2", "4/2", Outcome.CORRECT),
        (r"-\frac{1}{3}", "1/3", Outcome.WRONG),
        ("42", r"\boxed{42}", Outcome.CORRECT),
        ("42", r"$\boxed{41}$", Outcome.WRONG),
        (r"\frac{1}{2}", r"$\frac{2}{4}$", Outcome.CORRECT),
    ],
)
def test_numbers_are_compared_by_value(reference: str, answer: str, outcome: Outcome) -> None:
    assert compare_numerals(reference, answer) is outcome is _by_math_verify(reference, answer)


@mark.parametrize(
    ("reference", "answer"),
    [
        ("1/3", "0.333333"),
        ("5", "five"),
        ("5", "5 or 6"),
        ("0.1234567", "0.1234568"),
        ("1,000", "1000"),
        ("1/0", "1"),
        ("x", "x"),
        ("5", "$5$ or $6$"),
        ("5", r"\boxed{5} \boxed{6}"),
    ],
)
def test_rounding_and_parsing_are_left_to_math_verify(reference: str, answer: str) -> None:
    assert compare_numerals(reference, answer) is None
