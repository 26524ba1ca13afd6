"""A mean over seeds and problems, with an interval that resamples both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any

from selfimprove.evaluation.paired import LEVEL, RESAMPLES, bootstrap

if TYPE_CHECKING:
    from numpy.random import Generator

BATCH = 1_000
"""Resamples that are in memory at once."""


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A figure over seeds."""

    mean: float
    """Mean over seeds of the mean over problems: every seed weighs the same."""
    low: float
    """Lower end of the 95 % interval of the mean, over seeds and problems."""
    high: float
    """Upper end of that interval."""
    smallest: float
    """Mean over problems of the seed where it is lowest."""
    largest: float
    """That of the seed where it is highest."""


def over_seeds(values: Sequence[Mapping[str, float]], shared: bool, seed: int = 0) -> OverSeeds:
    """The mean of a figure over seeds, its range, and a percentile interval of 10,000 resamples of seeds and problems.

    One seed: the bootstrap over its problems. Several seeds, each with problems of its own: the hierarchical bootstrap (Davison and Hinkley 1997,
    "Bootstrap Methods and their Application", section 3.8), which draws seeds with replacement, and then problems within each drawn seed. Where all
    seeds share their problems, these are drawn once for all seeds (the pigeonhole bootstrap; Owen 2007, doi:10.1214/07-AOAS122): a hard problem is
    hard in every seed, and more seeds do not make it rarer. Of n seeds n - 1 are drawn: with n, a bootstrap of so few takes the variance between
    them for (n - 1) / n of what it is (Rao and Wu 1988, "Resampling inference with complex survey data").

    Args:
        values: For each seed, the value of each problem, such as its solve rate, or the difference of two solve rates.
        shared: Whether all seeds have the same problems.
        seed: Fixes the resamples. The order of seeds and problems does not matter.
    """
    table = sorted([row[problem] for problem in sorted(row)] for row in values)
    means = [fsum(row) / len(row) for row in table]
    mean = fsum(means) / len(means)
    if len(table) == 1:
        low, high, _ = bootstrap(table[0], seed, level=1 - LEVEL)
    elif len({value for row in table for value in row}) == 1:
        low = high = mean
    else:
        low, high = _interval(table, shared, seed)
    # Rounding must not move a bound past the mean.
    return OverSeeds(mean, min(low, mean), max(high, mean), min(means), max(means))


def _interval(table: Sequence[Sequence[float]], shared: bool, seed: int) -> tuple[float, float]:
    import numpy

    rng = numpy.random.default_rng(seed % 2**63)
    resampled = []
    for _ in range(RESAMPLES // BATCH):
        drawn = rng.integers(len(table), size=(BATCH, len(table) - 1))
        resampled.append((_of_shared if shared else _of_own)(table, drawn, rng).mean(axis=1))
    low, high = numpy.quantile(numpy.concatenate(resampled), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _of_shared(table: Sequence[Sequence[float]], drawn: Any, rng: Generator) -> Any:
    """The mean of each drawn seed: those of a resample get the same problems."""
    import numpy

    problems = len(table[0])
    means = _counts(problems, len(drawn), rng) @ numpy.array(table).T / problems
    return numpy.take_along_axis(means, drawn, axis=1)


def _of_own(table: Sequence[Sequence[float]], drawn: Any, rng: Generator) -> Any:
    """The mean of each drawn seed: every draw gets problems of its own."""
    import numpy

    means = numpy.empty(drawn.shape)
    for number, row in enumerate(table):
        here = drawn == number
        means[here] = _counts(len(row), int(here.sum()), rng) @ numpy.array(row) / len(row)
    return means


def _counts(problems: int, resamples: int, rng: Generator) -> Any:
    """How often each problem is drawn in each resample, with replacement."""
    import numpy

    drawn = rng.integers(problems, size=(resamples, problems)) + problems * numpy.arange(resamples)[:, None]
    return numpy.bincount(drawn.ravel(), minlength=resamples * problems).reshape(resamples, problems)
