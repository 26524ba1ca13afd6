"""Compares ways to spend sampled tokens on a problem, at equal numbers of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from selfimprove.evaluation.paired import bootstrap
from selfimprove.evaluation.reranking import CHOICES, Choice, ScoredAnswer, any_one
from selfimprove.evaluation.scores import interval

PLAIN = "plain samples"
Pool = Mapping[str, Sequence[ScoredAnswer]]
"""Independent samples of each problem, in the order of their requests."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The result of one way to use a process reward model, on every problem."""

    name: str
    answers: Mapping[str, Sequence[ScoredAnswer]]
    """Answers it ended with, by problem."""
    tokens: Mapping[str, int]
    """All tokens sampled for a problem, including those of branches dropped on the way."""
    scored: int
    """Number of partial and whole traces that were scored."""


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy of one way with one choice."""

    way: str
    choice: str
    tokens: float
    """Mean tokens sampled per problem."""
    samples: float
    """Number of plain samples that take as many tokens."""
    accuracy: float
    interval: tuple[float, float]
    """95 % interval of `accuracy` over problems."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One point compared with plain samples and the choice `against`, at equal sampled tokens and on the same problems."""

    way: str
    choice: str
    against: str
    samples: float
    """Number of plain samples; with a pool too small, they take fewer tokens than the way did."""
    difference: float
    """Accuracy of the way minus that of the plain samples."""
    low: float
    """Lower end of the 95 % interval of `difference`: a paired percentile bootstrap over problems."""
    high: float


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """What giving up hopeless traces saved, compared with the same number of plain samples."""

    way: str
    traces: int
    hopeless: int
    """Traces that were given up."""
    tokens: float
    """Mean tokens sampled per problem."""
    plain_tokens: float
    right_per_1000: float
    """Right traces per 1,000 sampled tokens."""
    plain_right_per_1000: float


@dataclass(frozen=True, slots=True)
class Sifted:
    """The effect of selection by step rewards on the correct plain samples, with a check of their equations."""

    lowest_step: float
    kept: int
    dropped: int
    false_kept: int
    """Kept samples that state a false equation of plain numbers."""
    false_dropped: int
    """Dropped samples that do."""


@dataclass(frozen=True, slots=True)
class RewardUses:
    """How useful a process reward model is, measured with one checkpoint on the same problems."""

    checkpoint_id: str
    problems: int
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    stops: tuple[EarlyStop, ...]
    sifted: tuple[Sifted, ...]


def solve_rates(pool: Pool, choice: Choice, samples: float) -> dict[str, float]:
    """Solve rate of each problem with this number of samples, averaged over groups of consecutive samples.

    A fractional number interpolates between the two whole ones. It is limited to the range from 1 to the size of the pool.
    """
    most = min(map(len, pool.values()))
    low = max(1, min(int(samples), most))
    rest = max(0.0, min(samples, most) - low)
    below = {problem: _in_groups(several, choice, low) for problem, several in pool.items()}
    if rest == 0:
        return below
    return {problem: (1 - rest) * rate + rest * _in_groups(pool[problem], choice, low + 1) for problem, rate in below.items()}


def curves(pool: Pool) -> list[Point]:
    """Every choice with 1, 2, 4, … plain samples, up to the whole pool. The random choice only with 1: more samples do not change it."""
    most = min(map(len, pool.values()))
    sizes = [2**power for power in range(most.bit_length())]
    each = tokens_per_sample(pool)
    found = []
    for name, choice in CHOICES.items():
        for size in sizes[:1] if choice is any_one else sizes:
            rates = list(solve_rates(pool, choice, size).values())
            bounds = interval(rates, len(rates) * (most // size))
            found.append(Point(PLAIN, name, each * size, float(size), fmean(rates), bounds))
    return found


def point(spent: Spent, choice: str, pool: Pool) -> Point:
    """The point of one way with one choice."""
    rates = [CHOICES[choice](answers) for answers in spent.answers.values()]
    tokens = fmean(spent.tokens.values())
    return Point(spent.name, choice, tokens, tokens / tokens_per_sample(pool), fmean(rates), interval(rates, len(rates)))


def difference(spent: Spent, choice: str, against: str, pool: Pool, seed: int = 0) -> Difference:
    """One way with one choice compared with plain samples worth as many tokens, with their own choice.

    Raises ValueError if the two were not tried on the same problems.
    """
    if spent.answers.keys() != pool.keys():
        raise ValueError(f"{spent.name} and the plain samples were tried on different problems")
    samples = min(point(spent, choice, pool).samples, float(min(map(len, pool.values()))))
    theirs = solve_rates(pool, CHOICES[against], 1 if CHOICES[against] is any_one else samples)
    gains = [CHOICES[choice](spent.answers[problem]) - theirs[problem] for problem in sorted(pool)]
    low, high, _ = bootstrap(gains, seed, level=0.95)
    return Difference(spent.name, choice, against, samples, fmean(gains), low, high)


def early_stop(spent: Spent, hopeless: int, pool: Pool) -> EarlyStop:
    """What was saved by a way that gave up this many traces."""
    every = [one for several in pool.values() for one in several]
    ended = [one for several in spent.answers.values() for one in several]
    tokens = sum(spent.tokens.values())
    return EarlyStop(
        way=spent.name,
        traces=len(ended),
        hopeless=hopeless,
        tokens=tokens / len(pool),
        plain_tokens=tokens_per_sample(pool) * len(ended) / len(pool),
        right_per_1000=1000 * sum(one.right for one in ended) / tokens,
        plain_right_per_1000=1000 * sum(one.right for one in every) / sum(one.tokens for one in every),
    )


def tokens_per_sample(pool: Pool) -> float:
    """Mean tokens of a plain sample, over problems."""
    return fmean(fmean(one.tokens for one in several) for several in pool.values())


def _in_groups(several: Sequence[ScoredAnswer], choice: Choice, size: int) -> float:
    return fmean(choice(several[start : start + size]) for start in range(0, len(several) - size + 1, size))
