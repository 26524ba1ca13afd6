"""How often a gate promotes a candidate that is better by so much, with so many evaluation problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from selfimprove.evaluation.gates import AlwaysPromote, NotWorse, StrictGate
from selfimprove.evaluation.paired import LEVEL

if TYPE_CHECKING:
    import numpy

CHURN = 0.2
"""Share of the problems on which two checkpoints are assumed to disagree where no accuracy is known."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a candidate differs from its champion, as probabilities for each problem."""

    gained: float
    """That only the candidate solves it."""
    lost: float
    """That only the champion does."""

    @classmethod
    def of(cls, gain: float, accuracy: float | None = None) -> Change | None:
        """A true gain over a champion of this accuracy whose answers say nothing about the candidate's: the most churn that is likely.

        Without an accuracy, the two disagree on the share `CHURN` of the problems, or on all that are gained, if these are more. None where no model
        can gain so much.
        """
        if accuracy is None:
            churn = max(CHURN, gain)
            return cls((churn + gain) / 2, (churn - gain) / 2)
        after = accuracy + gain
        return cls((1 - accuracy) * after, accuracy * (1 - after)) if after <= 1 else None


def chance_to_promote(gate: object, problems: int, change: Change) -> float | None:
    """Probability that the gate promotes such a candidate, with one sample of each of `problems`; None for a gate of your own.

    The exact unconditional power of a paired test (Duffy 1984, "Asymptotic and exact power for the McNemar test"): the number of problems on which
    the two disagree is binomial, and so is, among these, the number of those that are gained.
    """
    from scipy.stats import binom

    if (least := _least_gained(gate, problems)) is None:
        return None
    disagree, both = range(problems + 1), change.gained + change.lost
    share = change.gained / both if both else 0.0
    return float((binom.pmf(disagree, problems, both) * binom.sf(least - 1, disagree, share)).sum())


def smallest_gain(gate: object, problems: int, change: Change) -> float | None:
    """The smallest measured gain that the gate promotes, where the two disagree on as many problems as is expected; above 1 if it promotes none then.

    None for a gate of your own.
    """
    if (least := _least_gained(gate, problems)) is None:
        return None
    disagree = round(problems * (change.gained + change.lost))
    wanted = float(least[disagree])
    return (2 * wanted - disagree) / problems if wanted <= disagree else float("inf")


def _least_gained(gate: object, problems: int) -> numpy.ndarray | None:
    """The gained problems that the gate requires where the two disagree on 0, 1, …, `problems` of them."""
    import numpy
    from scipy.stats import binom, norm

    disagree = numpy.arange(problems + 1)
    match gate:
        case AlwaysPromote():
            return numpy.zeros(problems + 1)
        case StrictGate():
            return numpy.asarray(binom.isf(gate.level, disagree, 0.5) + 1)
        case NotWorse():
            # With x = gained - lost, the bootstrap's lower end is x - z sqrt(disagree - x²/problems) in problems, by the central limit theorem. It
            # must lie above the margin, and half a problem is the correction for whole numbers.
            z, margin = float(norm.isf(LEVEL)), numpy.ceil(gate.margin * problems) - 0.5
            c = 1 + z**2 / problems
            root = numpy.sqrt(numpy.maximum(margin**2 - c * (margin**2 - z**2 * disagree), 0))
            net = numpy.where(z**2 * disagree <= margin**2 * (1 - 1 / c), max(0.0, -margin), numpy.maximum((root - margin) / c, 0))
            return numpy.asarray(numpy.ceil((disagree + net) / 2))
        case _:
            return None
