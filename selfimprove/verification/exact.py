"""Judges an answer by comparing text."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.records import Outcome, Problem


@dataclass(frozen=True, config={"extra": "forbid"})
class Exact:
    """Right is what reads like the reference answer, white space aside; numerals are compared as they stand: `5.0` is not `5`."""

    ignore_case: bool = True
    """Whether `Paris` is `paris`."""

    name = "exact"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT or WRONG."""
        return Outcome.CORRECT if self._folded(answer) == self._folded(problem.answer) else Outcome.WRONG

    def _folded(self, text: str) -> str:
        folded = " ".join(text.split())
        return folded.casefold() if self.ignore_case else folded
