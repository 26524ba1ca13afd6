"""How well two verifiers agree on which answers are correct."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a second verifier accepts, compared with a first one or with labels."""

    both: int
    """Answers that both accept."""
    neither: int
    lenient: int
    """Answers that only the second accepts."""
    strict: int
    """Answers that only the first accepts."""
    kappa: float | None
    """Cohen's kappa: agreement beyond chance, 1 at most, 0 for chance (Cohen 1960); None where both accept all answers, or both none."""
    interval: tuple[float, float] | None
    """95 % interval of `kappa`, from its asymptotic variance (Fleiss, Cohen and Everitt 1969), as if the answers were independent; None for a kappa
    without a spread, such as 1."""


def agreement(both: int, neither: int, lenient: int, strict: int) -> Agreement:
    """The agreement with these counts of answers."""
    from statsmodels.stats.inter_rater import cohens_kappa

    with warnings.catch_warnings(action="ignore"):  # It divides by zero where all are alike.
        found = cohens_kappa([[both, strict], [lenient, neither]])
    kappa, low, high = (float(value) for value in (found.kappa, found.kappa_low, found.kappa_upp))
    spread = math.isfinite(low) and low < high
    return Agreement(both, neither, lenient, strict, kappa if math.isfinite(kappa) else None, (max(-1.0, low), min(1.0, high)) if spread else None)
