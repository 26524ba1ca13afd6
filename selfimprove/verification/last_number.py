"""Verifies an answer by the last number in it, for models that do not mark their answer."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification.written_numbers import last_number


@dataclass(frozen=True, config={"extra": "forbid"})
class LastNumber(Verifier):
    r"""Accepts an answer whose last number equals the last number of the reference answer: `So 4 + 1 = 5. The answer is 5.0` for `5`.

    It requires no format: the whole text of a trace without a thinking block is its answer, and a chain of thought ends with its result. Free-form
    answers to GSM8K are commonly read this way (`flexible-extract` of EleutherAI's lm-evaluation-harness).

    Numbers are read with sign, currency, groups of thousands (`1,000`, `1.000.000`), exponents (`1e6`, `2 \times 10^3`), as fractions (`3/4`,
    `\frac{3}{4}`, `1 1/2`) and with the words thousand, million, billion, trillion. Units and percent signs are ignored: `50%` is 50. A last number
    that can be read in more than one way is none: `1,5`, `12:30`, `x > 5`, `5 or 6`, `\sqrt{5}`.
    """

    name = "last number"
    version = "2"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE if the answer has no number or an ambiguous one. Raises ValueError if the reference answer does."""
        reference = last_number(problem.answer)
        if reference is None:
            raise ValueError(f"the reference answer of problem {problem.id} holds no number, or ends with an ambiguous one; use another verifier")
        found = last_number(answer)
        if found is None:
            return Outcome.UNPARSEABLE
        return Outcome.CORRECT if found == reference else Outcome.WRONG
