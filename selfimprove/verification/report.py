"""What a worker process reports about one answer, and its bytes on the pipe to the pool."""

from __future__ import annotations

from dataclasses import dataclass

from selfimprove.records import Grade, Outcome

UNAVAILABLE = "unavailable"
"""Stands for the outcome where there is none, for want of a server."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of verifying one answer."""

    outcome: Outcome
    score: float
    """From 0 to 1; only `correct` scores 1, only `wrong` scores between 0 and 1."""
    failure: str = ""
    """Why the verifier failed, for `crash`."""
    unavailable: bool = False
    """Whether it failed for a server that it asks, and would fail on any other answer."""

    def __str__(self) -> str:
        """The outcome, with the reason of a failure."""
        return f"{self.outcome} ({self.failure})" if self.failure else str(self.outcome)

    @classmethod
    def of(cls, returned: Outcome | Grade) -> Report:
        """From what `Verifier.verify` returned. Raises ValueError where that is neither an outcome nor a grade."""
        if isinstance(returned, Grade):
            score = float(returned.score)
            return cls(Grade(score).outcome, score)
        try:
            outcome = Outcome(returned)
        except ValueError as error:
            raise ValueError(f"verify must return an Outcome or a Grade, not {returned!r}") from error
        return cls(outcome, outcome.score)

    @classmethod
    def crash(cls, failure: str) -> Report:
        """The verifier failed on this answer."""
        return cls(Outcome.CRASH, Outcome.CRASH.score, failure)

    def encode(self) -> bytes:
        """Outcome, score and failure, separated by spaces."""
        return f"{UNAVAILABLE if self.unavailable else self.outcome} {self.score!r} {self.failure}".encode(errors="replace")

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """The report that was encoded. Raises ValueError for anything else."""
        outcome, score, failure = data.decode().split(" ", 2)
        unavailable = outcome == UNAVAILABLE
        report = cls(Outcome.CRASH if unavailable else Outcome(outcome), float(score), failure, unavailable)
        partial = report.outcome is Outcome.WRONG and 0 <= report.score < 1
        if not (partial or report.score == report.outcome.score) or (failure and report.outcome is not Outcome.CRASH):
            raise ValueError(f"not a report: {data[:100]!r}")
        return report
