"""Turns the judged traces of an evaluation into a `Score`: solve rate with its interval, pass@k, majority@k."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import comb, fsum

from selfimprove.records import JudgedTrace, Outcome, Score


def score(checkpoint_id: str, judged: Sequence[JudgedTrace]) -> Score:
    """The score of one checkpoint in one evaluation; the order of `judged` does not matter.

    A trace is right if its outcome is `correct`. An undecided one (`timeout`, `crash`) counts as not right and stays visible in `outcomes`. pass@k
    and majority@k go up to the smallest number of samples of any problem. Raises ValueError if there are no traces.
    """
    if not judged:
        raise ValueError("an evaluation without traces has no score")
    problems: defaultdict[str, list[JudgedTrace]] = defaultdict(list)
    for one in sorted(judged, key=_sample_number):
        problems[one.trace.problem_id].append(one)
    samples = list(problems.values())
    right = [sum(map(_is_right, traces)) for traces in samples]
    rates = [c / len(traces) for c, traces in zip(right, samples, strict=True)]
    ks = range(1, min(map(len, samples)) + 1)
    passes = {k: [pass_at_k(len(traces), c, k) for c, traces in zip(right, samples, strict=True)] for k in ks}
    majorities = {k: [float(_majority_is_right(traces[:k])) for traces in samples] for k in ks}
    seen = Counter(one.verdict.outcome for one in judged)
    return Score(
        checkpoint_id=checkpoint_id,
        problems=len(samples),
        pass_at_1=_mean(rates),
        interval=interval(rates, len(judged)),
        pass_at_k={k: _mean(rates) for k, rates in passes.items()},
        majority_at_k={k: _mean(rates) for k, rates in majorities.items()},
        outcomes={outcome.value: seen[outcome] for outcome in Outcome},
        tokens=sum(one.trace.output_tokens for one in judged),
        solved={problem: (c, len(traces)) for (problem, traces), c in sorted(zip(problems.items(), right, strict=True), key=lambda pair: pair[0][0])},
        pass_at_k_interval={k: interval(rates, len(judged)) for k, rates in passes.items()},
        majority_at_k_interval={k: interval(rates, len(samples)) for k, rates in majorities.items()},
    )


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that at least one of k samples is right, drawn without replacement from n samples with c right ones: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of Chen et al. 2021, "Evaluating Large Language Models Trained on Code", equation 1; 1 ≤ k ≤ n. The binomials are exact
    integers, so no product of fractions is needed.
    """
    return 1 - comb(n - c, k) / comb(n, k)


def interval(rates: Sequence[float], samples: int, weights: Sequence[float] | None = None) -> tuple[float, float]:
    """95 % interval of the mean over problems of `rates`, the share of right samples of each problem; `samples` is the number of all samples.

    `weights` gives each problem's weight in the mean, such as its number of samples; None: all weigh the same.

    Wilson's score interval (Wilson 1927) at the effective sample size p(1-p)/Var(mean), as for clustered surveys (Korn and Graubard 1998): samples of
    one problem resemble each other, so problems are the unit. With one sample per problem it is the plain Wilson interval. Unlike a t interval it
    stays within [0, 1]; unlike a bootstrap it has width even if every problem has the same rate, and needs no seed. The effective size is limited to
    the range from the number of problems, the most cautious view, to the number of samples, as if they were independent.
    """
    n = len(rates)
    total = fsum(weights) if weights else float(n)
    weighed = list(zip(weights or [1.0] * n, rates, strict=True))
    p = min(1.0, fsum(weight * rate for weight, rate in weighed) / total)
    spread = fsum((weight * (rate - p)) ** 2 for weight, rate in weighed) / total
    size = min(max(total * p * (1 - p) / spread, n), samples) if spread > 0 else (samples if 0 < p < 1 else n)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(p * size, size, method="wilson")
    # Rounding must not move a bound past the estimate or out of [0, 1].
    return max(0.0, min(float(low), p)), min(1.0, max(float(high), p))


def _sample_number(one: JudgedTrace) -> int:
    """5 for the trace `chain_sum-17/g3/s5`."""
    return int(one.trace.id.rpartition("/s")[2])


def _is_right(one: JudgedTrace) -> bool:
    return one.verdict.outcome is Outcome.CORRECT


def _majority_is_right(traces: Sequence[JudgedTrace]) -> bool:
    """Whether the most frequent answer is right. The earliest wins a tie; a trace without an answer has no vote."""
    votes = Counter(one.verdict.answer for one in traces if one.verdict.answer is not None)
    # most_common keeps the order of first appearance among equals.
    winner = votes.most_common(1)[0][0] if votes else None
    return any(_is_right(one) for one in traces if one.verdict.answer == winner)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)
