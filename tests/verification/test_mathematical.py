from threading import Thread

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import mark, raises

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import Mathematical


def judged(reference: str, answer: str) -> Outcome:
    return Mathematical().verify(Problem("p", "q", reference, "test"), answer)


@mark.parametrize(
    ("reference", "answer"),
    [
        ("5", "5"),
        ("5", "5.0"),
        ("5", r"So it is $\boxed{5}$."),
        ("$5$", "5"),
        (r"\frac12", "0.5"),
        ("1/2", r"\frac{1}{2}"),
        ("(1, 2)", "(1,2)"),
        ("x^2", "$x^2$"),
        ("1,000", "1000"),
        ("2", "1+1"),
    ],
)
def test_an_answer_of_equal_value_is_right(reference: str, answer: str) -> None:
    assert judged(reference, answer) is Outcome.CORRECT


@mark.parametrize(("reference", "answer"), [("5", "-5"), ("5", "5 or 6"), ("(1, 2)", "(2, 1)"), ("x^2", "$x^3$")])
def test_an_answer_of_another_value_is_wrong(reference: str, answer: str) -> None:
    assert judged(reference, answer) is Outcome.WRONG


@given(st.integers(-200, 200), st.integers(-200, 200))
@settings(max_examples=50)
def test_integers_are_compared_as_math_verify_does(reference: int, answer: int) -> None:
    from math_verify import parse, verify

    written = str(answer)
    expected = verify(parse(str(reference), parsing_timeout=None), parse(written, parsing_timeout=None), timeout_seconds=None)
    assert (judged(str(reference), written) is Outcome.CORRECT) is expected


def test_an_answer_without_mathematics_is_unparseable() -> None:
    assert judged("5", "\\") is Outcome.UNPARSEABLE


def test_a_reference_without_mathematics_is_an_error() -> None:
    with raises(ValueError, match="reference answer of problem p"):
        judged("", "5")


def test_it_works_outside_the_main_thread() -> None:
    outcomes: list[Outcome] = []
    thread = Thread(target=lambda: outcomes.append(judged("17", "17.0")))
    thread.start()
    thread.join()
    assert outcomes == [Outcome.CORRECT]


def test_it_is_a_verifier() -> None:
    assert isinstance(Mathematical(), Verifier)
