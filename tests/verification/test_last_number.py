"""The last number of a free-form answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove import LastNumber
from selfimprove.records import Outcome, Problem


def judged(reference: str, answer: str) -> Outcome:
    return LastNumber().verify(Problem("p", "?", reference, "toy"), answer)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("5", "First 4 + 3 = 7. Then 7 - 2 = 5."),
        ("-4", "So, the answer is **-4**."),
        ("-4", "5 - 9 = −4"),
        ("9", "It is 14-5, or (14)-5, and that is x-9"),
        ("1234.50", "It costs $1,234.5."),
        ("5", "5.0"),
        ("#### 72", "72 clips"),
        ("123456", "12,3456 is not a number, 123456 is."),
    ],
)
def test_a_chain_of_thought_is_right_by_its_last_number(reference: str, answer: str) -> None:
    assert judged(reference, answer) is Outcome.CORRECT


@pytest.mark.parametrize(("reference", "answer"), [("-5", "1 - 6 ="), ("5", "5, or is it 6?"), ("5", "-5"), ("4", "12-4 = 8")])
def test_neither_an_earlier_number_nor_the_value_of_an_echoed_question_counts(reference: str, answer: str) -> None:
    assert judged(reference, answer) is Outcome.WRONG


def test_without_a_number_an_answer_is_unparseable_and_a_reference_is_an_error() -> None:
    assert judged("5", "I do not know.") is Outcome.UNPARSEABLE
    with pytest.raises(ValueError, match="holds no number"):
        judged("five", "5")


@given(
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3), st.text(alphabet="abc .=\n")
)
def test_any_number_is_read_back_after_any_text_without_one(number: object, text: str) -> None:
    assert judged(f"{number}", f"{text} {number}{text}") is Outcome.CORRECT


def test_a_number_of_any_length_is_judged_and_one_of_absurd_length_is_none() -> None:
    assert judged("9" * 5000, "9" * 5000) is Outcome.CORRECT
    assert judged("9" * 5000, "9" * 4999 + "8") is Outcome.WRONG
    assert judged("9" * 50, "9" * 50_000) is Outcome.UNPARSEABLE
