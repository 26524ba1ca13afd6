"""Decides whether a candidate becomes champion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.evaluation.paired import LEVEL, Comparison, compare
from selfimprove.records import Decision, Score
from selfimprove.records.numbers import Float, Int


@dataclass(frozen=True, config={"extra": "forbid"})
class StrictGate:
    """Promotes a candidate that is better by a paired test on the evaluation problems: McNemar exact, or paired bootstrap."""

    level: Annotated[Float, Field(gt=0, lt=1)] = LEVEL
    """Significance level: the p-value below which a candidate counts as better."""
    seed: Int = 0
    """Seed of the bootstrap."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """Compare problem by problem."""
        found = compare(champion, candidate, self.seed)
        promote = found.p_better < self.level
        return Decision(promote, f"{_figures(champion, candidate, found)}; {found.test} p = {found.p_better:.2g} {_sign(promote)} {self.level:g}")


@dataclass(frozen=True, config={"extra": "forbid"})
class NotWorse:
    """Promotes a candidate that does not do worse than the champion, if a loss larger than a margin can be ruled out.

    The lower end of the paired difference must stay above the negative margin. A small true gain passes even if `StrictGate` could not tell it from
    chance; a measured loss does not pass.
    """

    margin: Annotated[Float, Field(ge=0, le=1)] = 0.05
    """Loss of pass@1 that must be ruled out with 95 % confidence."""
    seed: Int = 0
    """Seed of the bootstrap."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """Compare problem by problem, with 10,000 resamples of the problems."""
        found = compare(champion, candidate, self.seed)
        promote = found.low > -self.margin and found.difference >= 0
        return Decision(promote, f"{_figures(champion, candidate, found)}; at worst {found.low:+.3f} (limit {-self.margin:+.3g})")


@dataclass(frozen=True, config={"extra": "forbid"})
class AlwaysPromote:
    """Promotes every candidate, as STaR does."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """Promote without a comparison."""
        return Decision(True, "every candidate is promoted")


def _figures(champion: Score, candidate: Score, found: Comparison) -> str:
    sign = ">" if candidate.pass_at_1 > champion.pass_at_1 else "<" if candidate.pass_at_1 < champion.pass_at_1 else "="
    return f"pass@1 {candidate.pass_at_1:.3f} {sign} {champion.pass_at_1:.3f}: {found.gained} gained, {found.lost} lost"


def _sign(promote: bool) -> str:
    return "<" if promote else "≥"
