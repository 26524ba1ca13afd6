"""Accuracy by thinking tokens: the points of a budget curve and the three figures that s1 derives from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from selfimprove.evaluation.scores import interval
from selfimprove.records.ranges import Amount, Count, Finite, Share

RESAMPLES = 1000
APART = 1.0
"""Minimum distance in thinking tokens between two points with a slope; between nearer points it would be noise."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trace, reduced to its result and length."""

    right: bool
    thinking_tokens: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One budget and the attempts that count for it."""

    name: str
    least: int
    """Minimum thinking tokens."""
    most: int | None
    """Maximum thinking tokens; None: no maximum."""
    attempts: Mapping[str, Sequence[Attempt]]
    """Attempts by problem. A problem without attempts counts as not solved."""


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """The measurements of one setting."""

    setting: str
    least: int
    most: int | None
    accuracy: Share
    """Mean over problems of the share of right attempts; 0 for a problem without attempts."""
    interval: tuple[Finite, Finite]
    """95 % interval of `accuracy` over problems."""
    thinking_tokens: Amount | None
    """Mean over problems of the mean of their attempts, without problems that have none; None if no problem has any."""
    within: Share | None
    """Share of attempts with `least` to `most` thinking tokens; None without attempts."""
    unanswered: Share
    """Share of problems without an attempt."""


@dataclass(frozen=True, slots=True)
class BudgetCurve:
    """All settings of one method."""

    method: str
    checkpoint_id: str
    problems: Count
    points: tuple[BudgetPoint, ...]
    control: Share | None
    """Mean of `within` over the settings that limit tokens (s1: Control); None if no setting does."""
    scaling: Finite | None
    """Accuracy gained per 100 thinking tokens, as the function `scaling` computes it."""
    scaling_interval: tuple[Finite, Finite] | None
    """95 % interval of `scaling`, by a percentile bootstrap over problems."""
    performance: float
    """Best accuracy of all settings (s1: Performance). As a maximum of several, it is optimistic."""


def fitting(attempts: Mapping[str, Sequence[Attempt]], least: int, most: int | None) -> dict[str, list[Attempt]]:
    """The attempts that rejection sampling may return: sampling until one fits returns each of the fitting ones with equal probability."""
    return {problem: [one for one in several if _fits(one, least, most)] for problem, several in attempts.items()}


def curve(method: str, checkpoint_id: str, settings: Sequence[Setting], seed: int = 0) -> BudgetCurve:
    """The points of these settings, and the three figures of Muennighoff et al. 2025, "s1: Simple test-time scaling", section 3.2.

    Raises ValueError if the settings were not tried on the same problems.
    """
    problems = sorted(settings[0].attempts)
    if any(sorted(setting.attempts) != problems for setting in settings):
        raise ValueError("the settings were tried on different problems")
    points = tuple(_point(setting) for setting in settings)
    limited = [point.within for point in points if (point.least or point.most is not None) and point.within is not None]
    return BudgetCurve(
        method=method,
        checkpoint_id=checkpoint_id,
        problems=len(problems),
        points=points,
        control=fmean(limited) if limited else None,
        scaling=scaling([(point.thinking_tokens, point.accuracy) for point in points if point.thinking_tokens is not None]),
        scaling_interval=_scaling_interval(settings, problems, seed),
        performance=max(point.accuracy for point in points),
    )


def scaling(points: Sequence[tuple[float, float]]) -> float | None:
    """Accuracy gained per 100 thinking tokens: 100 times the mean of (f(b) - f(a)) / (b - a) over all pairs of points, b > a (s1: Scaling).

    `points` are (mean thinking tokens, accuracy). Unlike s1, it skips pairs less than `APART` tokens apart; None if no pair is left.
    """
    import numpy

    tokens, accuracy = numpy.array(points, dtype=float).reshape(-1, 2).T[:, :, None]
    found = _slopes(tokens, accuracy)
    return float(found[0]) if len(found) else None


def _point(setting: Setting) -> BudgetPoint:
    attempts = [one for several in setting.attempts.values() for one in several]
    rates = [_rate(several) for several in setting.attempts.values()]
    lengths = [_length(several) for several in setting.attempts.values() if several]
    # A problem without attempts is one observation: not solved.
    observed = sum(max(1, len(several)) for several in setting.attempts.values())
    return BudgetPoint(
        setting=setting.name,
        least=setting.least,
        most=setting.most,
        accuracy=fmean(rates),
        interval=interval(rates, observed),
        thinking_tokens=fmean(lengths) if lengths else None,
        within=fmean(_fits(one, setting.least, setting.most) for one in attempts) if attempts else None,
        unanswered=1 - len(lengths) / len(rates),
    )


def _slopes(tokens: Any, accuracy: Any) -> Any:
    """`scaling` of many curves at once, without those that have none. Both arrays are points by curves; tokens are NaN for missing points."""
    import numpy

    one, other = numpy.triu_indices(len(tokens), 1)
    gap = tokens[other] - tokens[one]
    # Comparisons with NaN are false, so missing points count as not apart.
    apart = numpy.abs(gap) >= APART
    slopes = numpy.divide(accuracy[other] - accuracy[one], gap, out=numpy.zeros_like(gap), where=apart)
    count = apart.sum(axis=0)
    return 100 * slopes.sum(axis=0)[count > 0] / count[count > 0]


def _scaling_interval(settings: Sequence[Setting], problems: Sequence[str], seed: int) -> tuple[float, float] | None:
    """The bootstrap interval. All settings of one resample share the same problems."""
    import numpy

    rates = numpy.array([[_rate(setting.attempts[problem]) for problem in problems] for setting in settings])
    lengths = numpy.array([[_length(setting.attempts[problem]) for problem in problems] for setting in settings])
    answered = numpy.array([[float(bool(setting.attempts[problem])) for problem in problems] for setting in settings])
    size = len(problems)
    # How often each problem is in each resample.
    times = numpy.random.default_rng(seed).multinomial(size, [1 / size] * size, size=RESAMPLES).T
    total, count = lengths @ times, answered @ times
    tokens = numpy.divide(total, count, out=numpy.full(total.shape, numpy.nan), where=count > 0)
    found = _slopes(tokens, rates @ times / size)
    if not len(found):
        return None
    low, high = numpy.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _fits(one: Attempt, least: int, most: int | None) -> bool:
    return least <= one.thinking_tokens and (most is None or one.thinking_tokens <= most)


def _rate(attempts: Sequence[Attempt]) -> float:
    return fmean(one.right for one in attempts) if attempts else 0.0


def _length(attempts: Sequence[Attempt]) -> float:
    return fmean(one.thinking_tokens for one in attempts) if attempts else 0.0
