"""Compares two checkpoints problem by problem in the same evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from selfimprove.evaluation.scores import pass_at_k
from selfimprove.records import Score

RESAMPLES = 10_000
LEVEL = 0.05
"""Accepted probability of seeing a difference where there is none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two checkpoints in one evaluation."""

    gained: int
    """Problems that the candidate solves more often than the champion."""
    lost: int
    """Problems that the candidate solves less often."""
    difference: float
    """Mean over problems of the candidate's solve rate minus the champion's."""
    low: float
    """Lower end of the 90 % interval of `difference`: the true one is above it with 95 % confidence."""
    high: float
    """Upper end of that interval."""
    p_better: float
    """Probability of at least this gain if the candidate were no better."""
    test: str
    """`McNemar exact`, or `paired bootstrap` if a problem has several samples."""


def compare(champion: Score, candidate: Score, seed: int = 0) -> Comparison:
    """The paired comparison of two scores of one evaluation.

    With one sample per problem: McNemar's exact test (McNemar 1947), one-sided, which is the binomial test on the problems that only one of the two
    solves. With several: the share of 10,000 bootstrap resamples of the problems (Efron 1979) whose mean difference is not above zero. The interval
    is from that bootstrap in both cases. Raises ValueError if the two were evaluated on different problems.
    """
    if champion.solved.keys() != candidate.solved.keys():
        raise ValueError(f"{champion.checkpoint_id} and {candidate.checkpoint_id} were evaluated on different problems")
    differences = _differences(champion, candidate, lambda right, samples: right / samples)
    gained, lost = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    low, high, p_better = bootstrap(differences, seed)
    single = _single(champion, candidate)
    if single:
        p_better = _mcnemar(gained, lost, "greater")
    return Comparison(gained, lost, sum(differences) / len(differences), low, high, p_better, "McNemar exact" if single else "paired bootstrap")


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference of two scores on the same problems, where neither is expected to be the better one."""

    gained: tuple[str, ...]
    """Problems that the second solves more often than the first, by id."""
    lost: tuple[str, ...]
    """Problems that the second solves less often."""
    difference: float
    """Mean over problems of the second's solve rate minus the first's."""
    low: float
    """Lower end of the 95 % interval of `difference`, by a paired percentile bootstrap over problems."""
    high: float
    """Upper end of that interval."""
    p: float
    """Two-sided p-value: the chance of at least this difference, either way, if there were none."""
    test: str
    """`McNemar exact`, or `paired bootstrap` if a problem has several samples."""


def contrast(first: Score, second: Score, seed: int = 0) -> Contrast:
    """The two-sided paired comparison of two scores; the tests are those of `compare`.

    Raises ValueError if the two were evaluated on different problems.
    """
    if first.solved.keys() != second.solved.keys():
        raise ValueError(f"{first.checkpoint_id} and {second.checkpoint_id} were evaluated on different problems")
    differences = _differences(first, second, lambda right, samples: right / samples)
    changed = dict(zip(sorted(first.solved), differences, strict=True))
    gained, lost = (tuple(problem for problem, value in changed.items() if sign * value > 0) for sign in (1, -1))
    low, high, not_above = bootstrap(differences, seed, level=1 - LEVEL)
    if _single(first, second):
        p = _mcnemar(len(gained), len(lost), "two-sided")
    else:
        _, _, not_below = bootstrap([-value for value in differences], seed)
        p = min(1.0, 2 * min(not_above, not_below))
    test = "McNemar exact" if _single(first, second) else "paired bootstrap"
    return Contrast(gained, lost, sum(differences) / len(differences), low, high, p, test)


def change_at_k(before: Score, after: Score, k: int, seed: int = 0) -> int:
    """+1, -1 or 0: whether pass@k rose or fell by more than chance, by a 95 % interval of the paired bootstrap."""
    differences = _differences(before, after, lambda right, samples: pass_at_k(samples, right, k))
    low, high, _ = bootstrap(differences, seed, level=0.95)
    return (low > 0) - (high < 0)


def smallest_improvement(problems: int, churn: float = 0.2, power: float = 0.8) -> tuple[float, float]:
    """What McNemar's exact test can show with one sample per problem, as two differences of pass@1.

    The first is the smallest that can be significant, if no problem is lost. The second is the smallest true difference that is found with the
    probability `power`, if the two checkpoints disagree on the share `churn` of the problems (or on all that are gained, if these are more). A value
    above 1 means that there is none.
    """
    from scipy.stats import binom

    fewest = next(n for n in range(1, 64) if 0.5**n < LEVEL)
    for net in range(fewest, problems + 1):
        disagree = max(round(churn * problems), net)
        # The gained problems that the test requires, among those on which the two disagree.
        wanted = int(binom.isf(LEVEL, disagree, 0.5)) + 1
        if binom.sf(wanted - 1, disagree, (disagree + net) / (2 * disagree)) >= power:
            return fewest / problems, net / problems
    return fewest / problems, float("inf")


def _single(*scores: Score) -> bool:
    return all(samples == 1 for score in scores for _, samples in score.solved.values())


def _mcnemar(gained: int, lost: int, alternative: str) -> float:
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, alternative=alternative).pvalue) if gained + lost else 1.0


def _differences(before: Score, after: Score, rate: Callable[[int, int], float]) -> list[float]:
    return [rate(*after.solved[problem]) - rate(*before.solved[problem]) for problem in sorted(before.solved)]


def bootstrap(differences: list[float], seed: int, level: float = 1 - 2 * LEVEL) -> tuple[float, float, float]:
    """The interval of the mean, and the share of resamples whose mean is not above zero."""
    if len(set(differences)) == 1:
        return differences[0], differences[0], float(differences[0] <= 0)
    import numpy
    from scipy.stats import bootstrap

    result = bootstrap(
        (numpy.array(differences),),
        numpy.mean,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        batch=1000,
        rng=numpy.random.default_rng(seed % 2**63),
    )
    interval = result.confidence_interval
    # The sample itself counts as a resample, so no p-value is zero.
    share = (int((result.bootstrap_distribution <= 0).sum()) + 1) / (RESAMPLES + 1)
    return float(interval.low), float(interval.high), share
