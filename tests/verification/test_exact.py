from pytest import mark

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification import Exact


@mark.parametrize(
    ("reference", "answer", "outcome"),
    [
        ("5", " 5\n", Outcome.CORRECT),
        ("New  York", "new york", Outcome.CORRECT),
        ("5", "5.0", Outcome.WRONG),
        ("5", "It is 5", Outcome.WRONG),
    ],
)
def test_only_white_space_and_case_are_ignored(reference: str, answer: str, outcome: Outcome) -> None:
    assert Exact().verify(Problem("p", "q", reference, "test"), answer) is outcome


def test_case_can_count() -> None:
    assert Exact(ignore_case=False).verify(Problem("p", "q", "Paris", "test"), "paris") is Outcome.WRONG


def test_it_is_a_verifier() -> None:
    assert isinstance(Exact(), Verifier)
