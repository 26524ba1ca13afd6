"""Decides whether a candidate has forgotten what a guard watches over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from selfimprove.evaluation.paired import LEVEL, compare
from selfimprove.records import GuardLoss, GuardScore, Score


def measure_loss(base: Score, candidate: Score, margin: float, seed: int = 0) -> GuardLoss:
    """What the candidate lost against the base model, and whether it is refused for it.

    It is refused if it lost more than the margin, and if the loss is more than chance: McNemar's exact test (the paired bootstrap with several
    samples), one-sided, at the level of `StrictGate`. The measured loss is compared with the margin, not a bound of its interval: the lower bound
    would let a small set pass nearly everything, the upper bound would make it refuse candidates that lost nothing. A set of fewer than five
    problems with one sample each can refuse nothing. Raises ValueError if the two were evaluated on different problems.
    """
    # The base model in the place of the better one: what it gains over the candidate is the loss.
    found = compare(candidate, base, seed)
    refuses = found.difference > margin and found.p_better < LEVEL
    return GuardLoss(found.difference, found.low, found.high, found.p_better, found.test, margin, refuses)


def can_refuse(base: Score, margin: float) -> bool:
    """Whether a candidate that solves nothing would be refused: else the base model solves too few problems for a guard to see a loss."""
    nothing = replace(base, pass_at_1=0.0, solved={problem: (0, samples) for problem, (_, samples) in base.solved.items()})
    return measure_loss(base, nothing, margin).refuses


def loss_in_words(name: str, loss: GuardLoss) -> str:
    """`guard sorting lost 0.080 (0.030 to 0.130) of margin 0.05, p = 0.002`; the interval is that of 90 %."""
    if loss.loss < 0:
        return f"guard {name} gained {-loss.loss:.3f} ({0 - loss.high:.3f} to {0 - loss.low:.3f})"
    return f"guard {name} lost {loss.loss:.3f} ({loss.low:.3f} to {loss.high:.3f}) of margin {loss.margin:g}, p = {loss.p:.2g}"


def refusals(guards: Mapping[str, GuardScore]) -> str | None:
    """Why guards refuse a candidate, in words; None where none does."""
    told = [loss_in_words(name, one.loss) for name, one in guards.items() if one.loss and one.loss.refuses]
    return f"refused: {', '.join(told)}" if told else None
