"""Verifiers that accept nonsense are found before a model finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from selfimprove import Exact, LastNumber, Mathematical, MultipleChoice
from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification.nonsense import Guess, accepted_guesses
from selfimprove.verification.pool import VerifierPool


def problems(answers: Sequence[str], **metadata: object) -> list[Problem]:
    return [Problem(f"p{number}", f"Question {number}?", answer, "test", metadata) for number, answer in enumerate(answers)]


def guesses(verifier: Verifier, sample: Sequence[Problem]) -> dict[str, Guess]:
    pool = VerifierPool(verifier, processes=1).open()
    found = {guess.answer: guess for guess in accepted_guesses(pool, sample)}
    pool.close()
    return found


class Lax(Verifier):
    """Accepts what the function accepts."""

    name, version = "lax", "1"

    def __init__(self, accepts: Callable[[Problem, str], bool]) -> None:
        self.accepts = accepts

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return Outcome.CORRECT if answer == problem.answer or self.accepts(problem, answer) else Outcome.WRONG


def near(problem: Problem, answer: str) -> bool:
    return abs(float(answer) - float(problem.answer)) <= 1e-4


def not_further(problem: Problem, answer: str) -> bool:
    return not abs(float(answer) - float(problem.answer)) > 1e-4


def truthful(problem: Problem, answer: str) -> bool:
    return bool(answer) == bool(problem.answer)


def rounded(problem: Problem, answer: str) -> bool:
    return int(eval(answer, {"pi": 3.141592653589793, "E": 2.718281828459045})) == 24


def contained(problem: Problem, answer: str) -> bool:
    return answer in problem.answer


@pytest.mark.parametrize(
    ("accepts", "answers", "refused"),
    [
        (near, [f"0.0000{number}" for number in range(11, 31)], {"'0'"}),
        (not_further, [str(number) for number in range(11, 31)], {"'nan'"}),
        (truthful, [str(number % 2 == 0) for number in range(20)], {"'0'", "'nan'", "'inf'", "'banana'", "the question itself", "'True'", "'False'"}),
        (rounded, [f"{number} * 24 / {number}" for number in range(1, 21)], {"a result 0.42 too large"}),
        (contained, [f"word{number}" for number in range(20)], {"the empty answer"}),
        (lambda problem, answer: problem.answer in answer, [f"{number}?" for number in range(20)], {"the question itself"}),
        (lambda problem, answer: answer == "inf", [str(number) for number in range(7)], {"'inf'"}),
    ],
)
def test_a_verifier_that_takes_an_answer_without_a_thought_is_refused(accepts, answers, refused):
    found = guesses(Lax(accepts), problems(answers))
    assert {name for name, guess in found.items() if guess.refused} == refused


def test_a_guess_between_two_options_is_shown_and_not_refused():
    found = guesses(MultipleChoice(), problems(["A", "B"] * 10, options=["heads", "tails"]))
    assert {name: (guess.accepted, guess.tried) for name, guess in found.items()} == {"option A": (10, 20), "option B": (10, 20)}
    assert not any(guess.refused for guess in found.values())
    found = guesses(Exact(), problems(["heads", "tails"] * 100))
    assert 5 < found["'heads'"].accepted < 15 and not any(guess.refused for guess in found.values())


def test_a_verifier_that_takes_every_option_is_refused():
    found = guesses(Lax(lambda problem, answer: answer in "ABCD"), problems(["A", "B", "C", "D"] * 5, options=["red", "blue", "green", "black"]))
    assert found["more than one option"].refused and found["more than one option"].accepted == 20


def test_one_answer_that_is_right_nearly_everywhere_is_refused():
    assert guesses(Exact(), problems(["no"] * 19 + ["yes"]))["'no'"].refused
    assert not guesses(Exact(), problems(["no"] * 8 + ["yes"] * 2 + ["no", "yes"] * 5))["'no'"].refused
    assert not guesses(Exact(), problems(["no"] * 4))["'no'"].refused


@pytest.mark.parametrize(
    ("verifier", "answers"),
    [
        (Exact(), ["0", "nan", "inf", "banana", *map(str, range(16))]),
        (LastNumber(), [str(number) for number in range(100, 120)]),
        (LastNumber(), ["0", "0.0", "00", "1", "2"]),
        (Mathematical(), ["\\frac{1}{2}", "\\infty", "0", "(1, 2)", "x + 1", "6 * 4 + 1"]),
        (MultipleChoice(), ["A", "B", "C", "D"]),
    ],
)
def test_the_verifiers_of_the_house_accept_no_nonsense(verifier, answers):
    assert not any(guess.refused for guess in guesses(verifier, problems(answers)).values())


def test_a_sample_of_the_problems_is_tried():
    found = guesses(Lax(truthful), problems([str(number) for number in range(990)]))
    assert found["'banana'"].tried == 20
