"""Verifies an answer by comparing text."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem


@dataclass(frozen=True, config={"extra": "forbid"})
class Exact(Verifier):
    """Accepts an answer with the text of the reference answer, ignoring white space. Numbers are compared as text: `5.0` is not `5`."""

    ignore_case: bool = True
    """Whether `paris` is accepted for `Paris`."""

    name = "exact"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT or WRONG."""
        return Outcome.CORRECT if self._folded(answer) == self._folded(problem.answer) else Outcome.WRONG

    def _folded(self, text: str) -> str:
        folded = " ".join(text.split())
        return folded.casefold() if self.ignore_case else folded
