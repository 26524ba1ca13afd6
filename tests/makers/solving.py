"""Checkers that solve toy sums, and a verifier that reads metadata. Their processes import this file alone, which takes a fraction of a second."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from selfimprove.records import Outcome, Problem
from selfimprove.verification.exact import Exact


def right_sum(problem: Problem, answer: str) -> bool:
    """Adds the two numbers of the question, whatever its label is."""
    left, right = problem.question.removeprefix("What is ").removesuffix("?").split(" + ")
    return answer == str(int(left) + int(right))


def puzzled(problem: Problem, answer: str) -> bool | None:
    """Fails on some questions and cannot decide others."""
    assert problem.answer == "" and not problem.metadata
    first = int(re.findall(r"\d+", problem.question)[0])
    return None if first % 2 else [True][first % 3]


@dataclass(frozen=True)
class ByMetadata(Exact):
    """Compares with the metadata in place of the reference answer."""

    def verify(self, problem: Problem, answer: str) -> Outcome:
        return super().verify(replace(problem, answer=problem.metadata["sum"]), answer)
