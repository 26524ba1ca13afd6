"""The answers of the verification benchmark."""

from __future__ import annotations

from benchmarks.verifying import FORMS, distinct, plain, sampled
from selfimprove import Mathematical
from selfimprove.records import Outcome


def test_the_verifier_agrees_with_the_benchmark_on_every_form() -> None:
    for (problem, answer), right in [*distinct(2 * len(FORMS), 3), *sampled(16, 3), *plain(4, 3)]:
        assert (Mathematical().verify(problem, answer) is Outcome.CORRECT) is right, (problem.answer, answer)


def test_no_answer_comes_twice() -> None:
    pairs = [(problem.answer, answer) for (problem, answer), _ in distinct(700, 1)]
    assert len(set(pairs)) == len(pairs)
