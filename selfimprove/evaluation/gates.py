"""Whether a candidate becomes champion."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.records import Decision, Score


@dataclass(frozen=True, config={"extra": "forbid"})
class NotWorse:
    """Promotes a candidate that solves at least as large a share of the exam."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """Compare pass@1."""
        promote = candidate.pass_at_1 >= champion.pass_at_1
        sign = "≥" if promote else "<"
        return Decision(promote, f"pass@1 {candidate.pass_at_1:.3f} {sign} {champion.pass_at_1:.3f}")


@dataclass(frozen=True, config={"extra": "forbid"})
class Always:
    """Promotes every candidate, as STaR does."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """No comparison."""
        return Decision(True, "every candidate is promoted")
