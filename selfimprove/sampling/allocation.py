"""How many traces of each problem are sampled: as many of each, or more where another one is worth more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass as record
from heapq import heapify, heapreplace

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import Tries

MEANS = (0.005, 0.01, 0.02, *(step / 20 for step in range(1, 20)), 0.98, 0.99)
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Of the Betas among which the likeliest is looked for: alpha / (alpha + beta), and alpha + beta."""
VARIETIES = tuple(2.0**power for power in range(-7, 11))


@dataclass(frozen=True, config={"extra": "forbid"})
class FixedK:
    """`n` traces of every problem, in one wave."""

    def allot(self, tries: Sequence[Tries], n: int) -> list[int] | None:
        """Everything at once, then nothing."""
        return None if not tries or tries[0].asked else [n] * len(tries)


@dataclass(frozen=True, config={"extra": "forbid"})
class ExpectedGain:
    """Each trace is asked of the problem where it is expected to gain most: the chance that it is accepted and says something new, per token.

    The rate at which a problem's traces are accepted has a Beta posterior. Its prior is the predicted solve rate where there is one, else the Beta
    under which this generation's verdicts so far are likeliest (empirical Bayes). In all, no more traces are sampled than by `FixedK`: what easy
    problems leave is spent on hard ones. What counts as accepted is what the selector keeps of each wave by itself.
    """

    cap: PositiveInt = 4
    """A problem with so many accepted traces of different text gets no more; those in flight may add to them."""
    most: PositiveInt = 32
    """The most traces of one problem."""
    first: PositiveFloat = 4.0
    """What the first accepted trace of a problem is worth, in later ones: the more, the more is spent on problems that are not solved yet."""
    worth: NonNegativeFloat = 0.01
    """The least that a trace of mean length is sampled for, in accepted traces that are new; the rest of what may be spent is saved."""
    strength: PositiveFloat = 2.0
    """How many samples a predicted solve rate counts for."""
    wave: PositiveInt | None = None
    """Traces that are decided on together; None: an eighth of all that may be sampled, at most 256. Two waves are with the sampler at any time: with
    less than 256 for each of its copies, an engine is not full; with more, decisions are later."""

    def allot(self, tries: Sequence[Tries], n: int) -> list[int] | None:
        """The next wave, one trace after another to whatever gains most then; among equals, to the first."""
        total = n * len(tries)
        left = total - sum(one.asked for one in tries)
        if left <= 0:
            return None
        size = self.wave or min(256, math.ceil(total / 8))
        known, given = Known.of(tries), [0] * len(tries)
        heap = [(-self._gain(one, 0, known), place) for place, one in enumerate(tries)]
        heapify(heap)
        for _ in range(min(left, size)):
            gain, place = heap[0]
            if -gain < self.worth or gain == 0:
                break
            given[place] += 1
            heapreplace(heap, (-self._gain(tries[place], given[place], known), place))
        return given

    def _gain(self, one: Tries, more: int, known: Known) -> float:
        """What one more trace brings, beside those in flight and `more` of this wave, for the tokens of a mean trace."""
        if one.distinct >= self.cap or one.asked + more >= self.most:
            return 0.0
        right, wrong = self._prior(one, known)
        right, wrong = right + one.accepted, wrong + one.judged - one.accepted
        chance, flying = right / (right + wrong), one.asked - one.judged + more
        # That all in flight fail, and then this one does not.
        opens = 0.0 if one.distinct else chance_of_failures(right, wrong, flying) - chance_of_failures(right, wrong, flying + 1)
        novel = known.variety / (known.variety + max(1.0, one.accepted + flying * chance))
        full = self.cap == 1 or one.distinct + flying * chance * novel >= self.cap
        adds = 0.0 if full else (chance - opens) * novel
        return (self.first * opens + adds) / known.length(one)

    def _prior(self, one: Tries, known: Known) -> tuple[float, float]:
        if one.solve_rate is None:
            return known.prior
        rate = min(max(one.solve_rate, MEANS[0]), MEANS[-1])
        return self.strength * rate, self.strength * (1 - rate)


@record(frozen=True)
class Known:
    """What all problems together tell of any one of them."""

    prior: tuple[float, float]
    """The Beta of their acceptance rates."""
    variety: float
    """Of their texts, as `fit_variety` has it."""
    tokens: float
    """Of a mean output."""

    @classmethod
    def of(cls, tries: Sequence[Tries]) -> Known:
        """From everything that is judged so far."""
        judged = sum(one.judged for one in tries)
        prior = fit_beta((one.accepted, one.judged) for one in tries)
        variety = fit_variety((one.distinct, one.accepted) for one in tries)
        return cls(prior, variety, sum(one.tokens for one in tries) / judged if judged else 1.0)

    def length(self, one: Tries) -> float:
        """The expected tokens of another output of this problem, over those of a mean one."""
        return (one.tokens / self.tokens + 1) / (one.judged + 1)


def chance_of_failures(alpha: float, beta: float, samples: int) -> float:
    """The chance that so many samples all fail, where the success rate is Beta(alpha, beta): B(alpha, beta + samples) / B(alpha, beta)."""
    chance = 1.0
    for drawn in range(samples):
        chance *= (beta + drawn) / (alpha + beta + drawn)
    return chance


def fit_beta(counts: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """The alpha and beta of the solve rates over problems under which these counts are likeliest (empirical Bayes), on a grid; 1 and 1 without any.

    Args:
        counts: successes and samples of each problem. That a problem was sampled until it was solved does not matter to the likelihood.
    """
    seen = Counter((right, samples) for right, samples in counts if samples)
    if not seen:
        return 1.0, 1.0
    import numpy
    from scipy.special import betaln

    means, strengths = (axis.ravel() for axis in numpy.meshgrid(MEANS, STRENGTHS))
    alpha, beta = (means * strengths)[:, None], ((1 - means) * strengths)[:, None]
    right, samples = numpy.array(list(seen)).T
    likelihoods = (betaln(alpha + right, beta + samples - right) - betaln(alpha, beta)) @ numpy.array(list(seen.values()))
    best = int(likelihoods.argmax())
    return float(alpha[best, 0]), float(beta[best, 0])


def fit_variety(counts: Iterable[tuple[int, int]]) -> float:
    """The θ under which these counts are likeliest, on a grid, where a trace is of new text with the chance θ / (θ + traces before it).

    That is Ewens's sampling formula (Ewens 1972), for which the number of different texts tells all that there is to know of θ.

    Args:
        counts: different texts and accepted traces of each problem. A problem of two equal and one of two different ones are added: 1 without any.
    """
    import numpy
    from scipy.special import gammaln

    seen = Counter([(1, 2), (2, 2), *counts])
    theta = numpy.array(VARIETIES)[:, None]
    distinct, accepted = numpy.array(list(seen)).T
    likelihoods = (distinct * numpy.log(theta) + gammaln(theta) - gammaln(theta + accepted)) @ numpy.array(list(seen.values()))
    return VARIETIES[int(likelihoods.argmax())]
