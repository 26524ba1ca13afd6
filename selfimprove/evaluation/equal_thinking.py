"""Compares budgets that vary by problem with one budget for all, at equal mean thinking tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from selfimprove.evaluation.budget_curve import Setting
from selfimprove.evaluation.paired import RESAMPLES


@dataclass(frozen=True, slots=True)
class EqualTokens:
    """One setting compared with one budget for all that takes as many thinking tokens."""

    setting: str
    thinking_tokens: float
    """Mean thinking tokens over problems."""
    accuracy: float
    one_for_all: float
    """Accuracy of one budget for all with this mean: interpolated between the two nearest budgets, as if a coin chose between them."""
    difference: float
    low: float
    """Lower end of the 95 % interval of `difference`: a paired percentile bootstrap over problems, with tokens made equal in each resample."""
    high: float
    """Upper end of that interval."""


def at_equal_tokens(setting: Setting, one_for_all: Sequence[Setting], seed: int = 0) -> EqualTokens:
    """Compare a setting with budgets for all, given from the shortest to the longest. Beyond their range, it is compared with the nearest.

    Raises ValueError if they were not tried on the same problems.
    """
    import numpy

    problems = sorted(setting.attempts)
    if any(sorted(other.attempts) != problems for other in one_for_all):
        raise ValueError("the settings were tried on different problems")
    size = len(problems)
    times = numpy.random.default_rng(seed).multinomial(size, [1 / size] * size, size=RESAMPLES)
    # The first row is the sample itself.
    weights = numpy.vstack([numpy.ones(size), times]) / size
    right, tokens = (weights @ column for column in _columns(setting, problems))
    pairs = [_columns(other, problems) for other in one_for_all]
    all_right, all_tokens = (weights @ numpy.stack([pair[part] for pair in pairs], axis=1) for part in (0, 1))
    same = numpy.array([numpy.interp(tokens[row], all_tokens[row], all_right[row]) for row in range(len(weights))])
    low, high = numpy.quantile((right - same)[1:], [0.025, 0.975])
    first, other = float(right[0]), float(same[0])
    return EqualTokens(setting.name, float(tokens[0]), first, other, first - other, float(low), float(high))


def _columns(setting: Setting, problems: Sequence[str]) -> tuple[Any, Any]:
    """Share of right attempts and mean thinking tokens of each problem."""
    import numpy

    attempts = [setting.attempts[problem] for problem in problems]
    right = numpy.array([fmean(one.right for one in several) for several in attempts])
    return right, numpy.array([fmean(one.thinking_tokens for one in several) for several in attempts])
