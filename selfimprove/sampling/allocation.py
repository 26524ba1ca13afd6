"""How many traces of each problem are sampled: equally many, or more where another trace is worth more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass as record
from heapq import heapify, heapreplace

from pydantic.dataclasses import dataclass

from selfimprove.records import Tries
from selfimprove.records.numbers import NonNegativeFloat, PositiveFloat, PositiveInt

MEANS = (0.005, 0.01, 0.02, *(step / 20 for step in range(1, 20)), 0.98, 0.99)
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Grid of Beta distributions: alpha / (alpha + beta), and alpha + beta."""
VARIETIES = tuple(2.0**power for power in range(-7, 11))


@dataclass(frozen=True, config={"extra": "forbid"})
class FixedK:
    """`n` traces of every problem, in one wave."""

    def allot(self, tries: Sequence[Tries], n: int) -> list[int] | None:
        """All traces in the first wave."""
        return None if not tries or tries[0].asked else [n] * len(tries)


@dataclass(frozen=True, config={"extra": "forbid"})
class ExpectedGain:
    """Each trace goes to the problem with the highest expected gain: the probability that it is accepted and new, per token.

    A problem's acceptance rate has a Beta posterior. Its prior is the predicted solve rate, or else the Beta that makes this generation's verdicts so
    far most likely (empirical Bayes). The total is at most that of `FixedK`: what easy problems leave is spent on hard ones. A trace counts as
    accepted if the selector keeps it from its wave alone.
    """

    cap: PositiveInt = 4
    """Number of accepted traces with different text after which a problem gets no more. Traces in progress may exceed it."""
    most: PositiveInt = 32
    """Maximum number of traces per problem."""
    first: PositiveFloat = 4.0
    """Worth of a problem's first accepted trace, in later ones. Higher values spend more on problems without a solution."""
    worth: NonNegativeFloat = 0.01
    """Minimum expected gain of a trace of mean length, in new accepted traces. Below it, the remaining traces are not sampled."""
    strength: PositiveFloat = 2.0
    """Number of samples that a predicted solve rate counts for."""
    wave: PositiveInt | None = None
    """Traces per wave; None: an eighth of the total, at most 256. The sampler holds two waves at any time: fewer than 256 traces per copy do not fill
    an engine, and larger waves delay decisions."""

    def allot(self, tries: Sequence[Tries], n: int) -> list[int] | None:
        """The next wave: one trace after another to the problem with the highest gain, the first among equals."""
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
        """Expected gain of one more trace per tokens of a mean trace, beside those in progress and `more` of this wave."""
        if one.distinct >= self.cap or one.asked + more >= self.most:
            return 0.0
        right, wrong = self._prior(one, known)
        right, wrong = right + one.accepted, wrong + one.judged - one.accepted
        chance, flying = right / (right + wrong), one.asked - one.judged + more
        # All in progress fail, and then this one does not.
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
    """Estimates from all problems together."""

    prior: tuple[float, float]
    """Beta of the acceptance rates."""
    variety: float
    """Variety of the texts; see `fit_variety`."""
    tokens: float
    """Mean tokens of an output."""

    @classmethod
    def of(cls, tries: Sequence[Tries]) -> Known:
        """Estimate from all verdicts so far."""
        judged = sum(one.judged for one in tries)
        prior = fit_beta((one.accepted, one.judged) for one in tries)
        variety = fit_variety((one.distinct, one.accepted) for one in tries)
        return cls(prior, variety, sum(one.tokens for one in tries) / judged if judged else 1.0)

    def length(self, one: Tries) -> float:
        """Expected tokens of another output of this problem, relative to the mean."""
        return (one.tokens / self.tokens + 1) / (one.judged + 1)


def chance_of_failures(alpha: float, beta: float, samples: int) -> float:
    """Probability that all samples fail under a success rate of Beta(alpha, beta): B(alpha, beta + samples) / B(alpha, beta)."""
    chance = 1.0
    for drawn in range(samples):
        chance *= (beta + drawn) / (alpha + beta + drawn)
    return chance


def fit_beta(counts: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """The alpha and beta of the solve rates over problems that make these counts most likely (empirical Bayes), on a grid; 1 and 1 without counts.

    Args:
        counts: Successes and samples of each problem. Sampling a problem until it is solved does not change the likelihood.
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
    """The θ that makes these counts most likely, on a grid. A trace has a new text with probability θ / (θ + traces before it).

    This is Ewens's sampling formula (Ewens 1972): the number of different texts is sufficient for θ.

    Args:
        counts: Different texts and accepted traces of each problem. Two problems are added, one with two equal and one with two different texts; they
            alone give 1.
    """
    import numpy
    from scipy.special import gammaln

    seen = Counter([(1, 2), (2, 2), *counts])
    theta = numpy.array(VARIETIES)[:, None]
    distinct, accepted = numpy.array(list(seen)).T
    likelihoods = (distinct * numpy.log(theta) + gammaln(theta) - gammaln(theta + accepted)) @ numpy.array(list(seen.values()))
    return VARIETIES[int(likelihoods.argmax())]
