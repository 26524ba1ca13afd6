"""Ways to spend sampled tokens on a problem, compared where they spend equally many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from selfimprove.evaluation.paired import bootstrap
from selfimprove.evaluation.reranking import CHOICES, Candidate, Choice, any_one
from selfimprove.evaluation.scores import interval

PLAIN = "plain samples"
Pool = Mapping[str, Sequence[Candidate]]
"""Independent samples of each problem, in the order they were asked for."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a way to use a process reward model came to on every problem."""

    name: str
    candidates: Mapping[str, Sequence[Candidate]]
    """What it ended with, by problem."""
    tokens: Mapping[str, int]
    """All tokens sampled for a problem, those of what was dropped on the way included."""
    scored: int
    """How many beginnings and traces were scored."""


@dataclass(frozen=True, slots=True)
class Point:
    """One way and one choice, measured."""

    way: str
    choice: str
    tokens: float
    """Sampled per problem, on average."""
    samples: float
    """Plain samples that take as many tokens."""
    accuracy: float
    interval: tuple[float, float]
    """95 % interval of `accuracy` over problems."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One point against plain samples, by the choice that is named, at equal sampled tokens and on the same problems."""

    way: str
    choice: str
    against: str
    samples: float
    """Of the plain samples; fewer tokens than the way took where the pool ends before."""
    difference: float
    """Accuracy of the way less that of the plain samples."""
    low: float
    """Lower end of the 95 % interval of `difference`: a paired percentile bootstrap over problems."""
    high: float


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """What was saved by giving up hopeless traces, against plain samples of the same number."""

    way: str
    traces: int
    hopeless: int
    """Given up."""
    tokens: float
    """Sampled per problem, on average."""
    plain_tokens: float
    right_per_1000: float
    """Right traces per 1,000 sampled tokens."""
    plain_right_per_1000: float


@dataclass(frozen=True, slots=True)
class Sifted:
    """What selection by step rewards makes of the right ones among the plain samples, beside a look at their equations."""

    lowest_step: float
    kept: int
    dropped: int
    false_kept: int
    """Of those kept: how many state a false equation of plain numbers."""
    false_dropped: int


@dataclass(frozen=True, slots=True)
class RewardUses:
    """What a process reward model is good for, by one checkpoint on the same problems."""

    checkpoint_id: str
    problems: int
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    stops: tuple[EarlyStop, ...]
    sifted: tuple[Sifted, ...]


def solve_rates(pool: Pool, choice: Choice, samples: float) -> dict[str, float]:
    """How far each problem is solved by so many of its samples, averaged over groups of consecutive ones.

    Between two whole numbers: the lower one, or with the chance of what is left the higher one. At least 1, at most all of the pool.
    """
    most = min(map(len, pool.values()))
    low = max(1, min(int(samples), most))
    rest = max(0.0, min(samples, most) - low)
    below = {problem: _in_groups(several, choice, low) for problem, several in pool.items()}
    if rest == 0:
        return below
    return {problem: (1 - rest) * rate + rest * _in_groups(pool[problem], choice, low + 1) for problem, rate in below.items()}


def curves(pool: Pool) -> list[Point]:
    """Every choice at 1, 2, 4, … plain samples, up to all of the pool; a choice at random only at 1, as it gains nothing from more."""
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
    """A way by one choice."""
    rates = [CHOICES[choice](candidates) for candidates in spent.candidates.values()]
    tokens = fmean(spent.tokens.values())
    return Point(spent.name, choice, tokens, tokens / tokens_per_sample(pool), fmean(rates), interval(rates, len(rates)))


def difference(spent: Spent, choice: str, against: str, pool: Pool, seed: int = 0) -> Difference:
    """A way by one choice against as many tokens' worth of plain samples by a choice of their own.

    ValueError where the two were not tried on the same problems.
    """
    if spent.candidates.keys() != pool.keys():
        raise ValueError(f"{spent.name} and the plain samples were tried on different problems")
    samples = min(point(spent, choice, pool).samples, float(min(map(len, pool.values()))))
    theirs = solve_rates(pool, CHOICES[against], 1 if CHOICES[against] is any_one else samples)
    gains = [CHOICES[choice](spent.candidates[problem]) - theirs[problem] for problem in sorted(pool)]
    low, high, _ = bootstrap(gains, seed, level=0.95)
    return Difference(spent.name, choice, against, samples, fmean(gains), low, high)


def early_stop(spent: Spent, hopeless: int, pool: Pool) -> EarlyStop:
    """What a way that gave up so many traces saved."""
    every = [one for several in pool.values() for one in several]
    ended = [one for several in spent.candidates.values() for one in several]
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


def _in_groups(several: Sequence[Candidate], choice: Choice, size: int) -> float:
    return fmean(choice(several[start : start + size]) for start in range(0, len(several) - size + 1, size))
