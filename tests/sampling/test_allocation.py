"""Allocators, on problems whose solve rates are known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from scipy import integrate, stats

from selfimprove import ExpectedGain, FixedK
from selfimprove.protocols import Allocator
from selfimprove.records import Tries
from selfimprove.sampling.allocation import chance_of_failures, fit_beta, fit_variety


@dataclass
class Simulated:
    """Problems with known solve rates whose right traces have one of `texts` texts. Verdicts arrive one wave later."""

    rates: Sequence[float]
    texts: int
    predicted: Sequence[float | None]
    seed: int = 0

    def __post_init__(self) -> None:
        self.tries = [Tries(f"p{n}", rate) for n, rate in enumerate(self.predicted)]
        self.found: list[set[int]] = [set() for _ in self.rates]
        self.waves: list[list[int]] = []

    def _judge(self, place: int) -> None:
        one = self.tries[place]
        chance = random.Random(f"{self.seed} {place} {one.judged}")
        right = chance.random() < self.rates[place]
        self.found[place] |= {chance.randrange(self.texts)} if right else set()
        self.tries[place] = replace(
            one, judged=one.judged + 1, accepted=one.accepted + right, distinct=len(self.found[place]), tokens=one.tokens + 20
        )

    def run(self, allocator: Allocator, n: int, until_solved: int | None = None) -> Simulated:
        """To the end, or to the wave after which so many problems are solved."""
        flying: Sequence[int] = []
        while (wave := allocator.allot(self.tries, n)) is not None and (any(wave) or any(flying)):
            self.waves.append(list(wave))
            for place, number in enumerate(flying):
                for _ in range(number):
                    self._judge(place)
            self.tries = [replace(one, asked=one.asked + more) for one, more in zip(self.tries, wave, strict=True)]
            flying = wave
            if until_solved is not None and self.solved >= until_solved:
                break
        for place, number in enumerate(flying):
            for _ in range(number):
                self._judge(place)
        return self

    @property
    def solved(self) -> int:
        return sum(map(bool, self.found))

    @property
    def distinct(self) -> int:
        return sum(map(len, self.found))

    @property
    def samples(self) -> int:
        return sum(one.asked for one in self.tries)


def simulate(rates: Sequence[float], texts: int = 2, predicted: Sequence[float | None] | None = None, seed: int = 0) -> Simulated:
    return Simulated(rates, texts, predicted or [None] * len(rates), seed)


ALWAYS_OR_NEVER = [0.98] * 90 + [0.6] * 20 + [0.0] * 50
"""Solve rates like those of a model that has learnt the quickstart's problems."""
EASY_AND_HARD = [0.95] * 60 + [0.5] * 20 + [0.1] * 60 + [0.0] * 20


def test_fixed_k_samples_everything_in_one_wave() -> None:
    assert simulate([0.5] * 3).run(FixedK(), 4).waves == [[4, 4, 4]]
    assert FixedK().allot([], 4) is None


@pytest.mark.parametrize("seed", range(3))
def test_with_mostly_easy_or_hopeless_problems_it_yields_half_as_much_again_per_trace_at_equal_coverage(seed: int) -> None:
    fixed = simulate(ALWAYS_OR_NEVER, texts=1, seed=seed).run(FixedK(), 4)
    ours = simulate(ALWAYS_OR_NEVER, texts=1, seed=seed).run(ExpectedGain(wave=40), 4, until_solved=fixed.solved)
    assert ours.solved >= fixed.solved
    assert ours.distinct / ours.samples >= 1.5 * fixed.distinct / fixed.samples


def test_a_whole_budget_solves_more_problems_than_fixed_k() -> None:
    fixed, ours = simulate(EASY_AND_HARD).run(FixedK(), 4), simulate(EASY_AND_HARD).run(ExpectedGain(), 4)
    assert ours.samples <= fixed.samples and ours.solved > fixed.solved


def test_a_problem_stops_soon_after_its_cap_and_never_has_more_than_the_most_samples() -> None:
    ended = simulate([1.0] * 10 + [0.02] * 10, texts=100).run(ExpectedGain(cap=2, most=12, wave=10), 16)
    assert all(2 <= len(found) <= 3 for found in ended.found[:10])
    assert max(one.asked for one in ended.tries) == 12


def test_traces_of_too_little_worth_are_not_sampled() -> None:
    ended = simulate([0.0] * 40).run(ExpectedGain(worth=0.2, wave=40), 16)
    assert 40 <= ended.samples < 8 * 40
    assert simulate([0.0] * 40).run(ExpectedGain(worth=0.0, wave=40), 16).samples == 16 * 40


def test_a_predicted_rate_decides_until_verdicts_do() -> None:
    tries = [Tries("hard", 0.1), Tries("easy", 0.9), Tries("unknown")]
    assert ExpectedGain(wave=1).allot(tries, 16) == [0, 1, 0]
    seen = [tries[0], replace(tries[1], asked=30, judged=30, tokens=600), tries[2]]
    assert ExpectedGain(wave=1).allot(seen, 16) == [1, 0, 0]


def test_traces_that_repeat_themselves_are_worth_less_than_new_ones() -> None:
    tries = [
        Tries("repeats", None, asked=6, judged=6, accepted=6, distinct=1, tokens=120),
        Tries("varies", None, asked=6, judged=6, accepted=5, distinct=3, tokens=120),
    ]
    assert ExpectedGain(wave=1).allot(tries, 12) == [0, 1]


def test_of_two_problems_the_one_with_the_shorter_traces_comes_first() -> None:
    tries = [Tries("long", None, asked=4, judged=4, tokens=400), Tries("short", None, asked=4, judged=4, tokens=80)]
    assert ExpectedGain(wave=1, worth=0.0).allot(tries, 12) == [0, 1]


def test_traces_in_progress_count_as_tried() -> None:
    tries = [Tries("asked", 0.5, asked=2), Tries("waits", 0.4)]
    assert ExpectedGain(wave=1, cap=1).allot(tries, 4) == [0, 1]


def test_by_default_a_wave_is_an_eighth_of_the_total() -> None:
    assert sum(ExpectedGain().allot([Tries(f"p{n}") for n in range(20)], 4) or []) == 10
    assert sum(ExpectedGain().allot([Tries(f"p{n}") for n in range(1000)], 4) or []) == 256


@pytest.mark.parametrize(("alpha", "beta", "samples"), [(0.5, 2.0, 3), (2.0, 1.0, 1), (1.0, 1.0, 0)])
def test_the_chance_that_all_samples_fail_is_the_integral_over_the_beta(alpha: float, beta: float, samples: int) -> None:
    integral, _ = integrate.quad(lambda p: (1 - p) ** samples * stats.beta.pdf(p, alpha, beta), 0, 1)
    assert chance_of_failures(alpha, beta, samples) == pytest.approx(integral, abs=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 1.7), (2.0, 2.0), (4.0, 1.0)])
def test_a_beta_is_recovered_from_its_counts_however_sampling_stopped(alpha: float, beta: float) -> None:
    chance, counts = random.Random(1), []
    for _ in range(3000):
        rate, right, samples = chance.betavariate(alpha, beta), 0, 0
        while not right and samples < 8:
            samples += 1
            right += chance.random() < rate
        counts.append((right, samples))
    a, b = fit_beta(counts)
    assert a / (a + b) == pytest.approx(alpha / (alpha + beta), abs=0.06)
    assert 0.4 < (a + b) / (alpha + beta) < 2.5


def test_without_counts_all_rates_are_equally_likely() -> None:
    assert fit_beta([]) == fit_beta([(0, 0)]) == (1.0, 1.0)


@pytest.mark.parametrize("theta", [0.1, 1.0, 20.0])
def test_the_variety_of_texts_is_recovered_from_the_number_of_different_ones(theta: float) -> None:
    chance, counts = random.Random(2), []
    for _ in range(2000):
        accepted = chance.randint(1, 8)
        counts.append((sum(chance.random() < theta / (theta + before) for before in range(accepted)), accepted))
    assert theta / 2 <= fit_variety(counts) <= 2 * theta


def test_without_accepted_traces_the_variety_is_one() -> None:
    assert fit_variety([]) == fit_variety([(0, 0), (1, 1)]) == 1.0
