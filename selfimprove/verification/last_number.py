"""Verifies an answer by the last number in it, for models that do not mark their answer."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem

# A minus sign after a word, a number or a bracket is a subtraction: `5-9` ends with 9.
NUMBER = re.compile(r"(?:(?<![\w).])[-−])?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?")


@dataclass(frozen=True, config={"extra": "forbid"})
class LastNumber(Verifier):
    """Accepts an answer whose last number equals the last number of the reference answer: `So 4 + 1 = 5. The answer is 5.0` for `5`.

    It requires no format: the whole text of a trace without a thinking block is its answer, and a chain of thought ends with its result. Free-form
    answers to GSM8K are commonly read this way (`flexible-extract` of EleutherAI's lm-evaluation-harness).
    """

    name = "last number"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE if the answer has no number. Raises ValueError if the reference answer has none."""
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
