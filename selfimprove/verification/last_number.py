"""Judges an answer by the last number in it, for models that do not set their answer apart."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic.dataclasses import dataclass

from selfimprove.records import Outcome, Problem

# A minus sign after a word, a number or a bracket is an operation: `5-9` ends with 9.
NUMBER = re.compile(r"(?:(?<![\w).])[-−])?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?")


@dataclass(frozen=True, config={"extra": "forbid"})
class LastNumber:
    """Right is an answer whose last number has the value of the reference's last: `So 4 + 1 = 5. The answer is 5.0` for `5`.

    It asks for no form: where a trace has no block of thinking its whole text counts as the answer, and the last number of a chain of thought is
    what it arrives at. That is how free answers to GSM8K are commonly read (`flexible-extract` of EleutherAI's lm-evaluation-harness).
    """

    name = "last number"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE where there is no number in the answer; raises ValueError where the reference has none."""
        reference = _last(problem.answer)
        if reference is None:
            raise ValueError(f"the reference answer of problem {problem.id} holds no number; use another verifier")
        found = _last(answer)
        if found is None:
            return Outcome.UNPARSEABLE
        return Outcome.CORRECT if found == reference else Outcome.WRONG


def _last(text: str) -> Decimal | None:
    numbers = NUMBER.findall(text)
    return Decimal(numbers[-1].replace(",", "").replace("−", "-")) if numbers else None
