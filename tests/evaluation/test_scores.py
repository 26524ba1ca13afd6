"""The figures of an evaluation, checked against their definitions."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfimprove.evaluation.scores import interval, pass_at_k, score
from selfimprove.records import JudgedTrace, Outcome, Trace, Verdict


def judged(problem: str, sample: int, outcome: Outcome, answer: str | None = None, tokens: int = 3) -> JudgedTrace:
    trace = Trace(f"{problem}/g1/s{sample}", problem, "model", (1,), (7,) * tokens, "", (), "stop", 0.0, 0)
    return JudgedTrace(trace, Verdict(trace.id, outcome, answer, "toy", "1", outcome.score))


@st.composite
def evaluations(draw: st.DrawFn) -> list[JudgedTrace]:
    samples = draw(st.integers(1, 5))
    outcomes = draw(st.lists(st.lists(st.sampled_from(Outcome), min_size=samples, max_size=samples), min_size=1, max_size=8))
    return [
        judged(f"p{p}", s, outcome, {"correct": "5", "wrong": draw(st.sampled_from("67"))}.get(outcome))
        for p, row in enumerate(outcomes)
        for s, outcome in enumerate(row)
    ]


def rights(evaluation: list[JudgedTrace]) -> dict[str, list[bool]]:
    table: dict[str, list[bool]] = {}
    for one in evaluation:
        table.setdefault(one.trace.problem_id, []).append(one.verdict.outcome is Outcome.CORRECT)
    return table


@given(evaluations())
def test_pass_at_k_grows_from_the_solve_rate_to_the_share_of_problems_ever_solved(evaluation):
    result, table = score("m", evaluation), rights(evaluation)
    assert list(result.pass_at_k) == list(range(1, len(table["p0"]) + 1))
    assert sorted(result.pass_at_k.values()) == list(result.pass_at_k.values())
    assert result.pass_at_1 == pytest.approx(sum(one.verdict.outcome is Outcome.CORRECT for one in evaluation) / len(evaluation))
    assert result.pass_at_k[1] == pytest.approx(result.pass_at_1)
    assert result.pass_at_k[max(result.pass_at_k)] == pytest.approx(sum(map(any, table.values())) / len(table))


@given(evaluations())
def test_the_interval_contains_the_estimate_and_stays_within_zero_and_one(evaluation):
    result = score("m", evaluation)
    low, high = result.interval
    assert 0 <= low <= result.pass_at_1 <= high <= 1
    assert low < high


@given(evaluations(), st.randoms(use_true_random=False))
def test_the_order_of_the_traces_does_not_matter(evaluation, chance: random.Random):
    shuffled = list(evaluation)
    chance.shuffle(shuffled)
    assert score("m", shuffled) == score("m", evaluation)


@given(evaluations())
def test_every_outcome_is_counted_even_if_absent(evaluation):
    result = score("m", evaluation)
    assert list(result.outcomes) == [outcome.value for outcome in Outcome]
    assert sum(result.outcomes.values()) == len(evaluation)
    assert result.tokens == 3 * len(evaluation)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_with_a_right_sample(case):
    n, c, k = case
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(("right", "problems"), [(0, 150), (1, 150), (66, 150), (150, 150), (1, 1)])
def test_one_sample_per_problem_gives_the_wilson_interval_of_statsmodels(right, problems):
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(right, problems, method="wilson")
    assert interval([1.0] * right + [0.0] * (problems - right), problems) == pytest.approx(expected)


def test_more_samples_of_the_same_problems_narrow_the_interval_only_as_far_as_they_differ():
    def width(rates: list[float]) -> float:
        low, high = interval(rates, 4 * len(rates))
        return high - low

    one_sample = interval([1.0, 0.0] * 50, 100)
    assert width([1.0, 0.0] * 50) == pytest.approx(one_sample[1] - one_sample[0])
    assert width([0.75, 0.25] * 50) < 0.6 * width([1.0, 0.0] * 50)


def test_the_interval_contains_the_truth_about_as_often_as_it_says():
    chance, trials = random.Random(1), 400
    held = 0
    for _ in range(trials):
        # Abilities uniform on [0, 1]: the true solve rate is one half.
        rates = [sum(chance.random() < ability for _ in range(4)) / 4 for ability in (chance.random() for _ in range(60))]
        low, high = interval(rates, 240)
        held += low <= 0.5 <= high
    assert 0.92 <= held / trials <= 0.98


def test_the_majority_is_taken_from_the_first_k_samples_and_the_earliest_answer_wins_a_tie():
    answers = ["6", "5", "5", "6", "6"]
    evaluation = [judged("p", s, Outcome.CORRECT if a == "5" else Outcome.WRONG, a) for s, a in enumerate(answers)]
    assert score("m", evaluation[::-1]).majority_at_k == {1: 0, 2: 0, 3: 1, 4: 0, 5: 0}


def test_samples_are_ordered_by_their_number_not_by_their_name():
    evaluation = [judged("p", s, Outcome.WRONG, "6") for s in range(10)] + [judged("p", 10, Outcome.CORRECT, "5")]
    assert score("m", evaluation[::-1]).majority_at_k[1] == 0
    assert score("m", [judged("p", s, Outcome.CORRECT if s == 2 else Outcome.WRONG, str(s)) for s in (10, 2)]).majority_at_k[1] == 1


def test_a_trace_without_an_answer_has_no_vote():
    evaluation = [judged("p", 0, Outcome.UNPARSEABLE), judged("p", 1, Outcome.UNPARSEABLE), judged("p", 2, Outcome.CORRECT, "5")]
    assert score("m", evaluation).majority_at_k == {1: 0, 2: 0, 3: 1}


def test_an_undecided_answer_counts_as_not_right_and_stays_visible():
    result = score("m", [judged("p", 0, Outcome.TIMEOUT, "5"), judged("q", 0, Outcome.CRASH, "5"), judged("r", 0, Outcome.CORRECT, "5")])
    assert result.pass_at_1 == pytest.approx(1 / 3)
    assert (result.outcomes["timeout"], result.outcomes["crash"], result.outcomes["wrong"]) == (1, 1, 0)


def test_problems_with_unequal_numbers_of_samples_share_the_smallest_k():
    result = score("m", [judged("p", 0, Outcome.CORRECT, "5"), *(judged("q", s, Outcome.WRONG, "6") for s in range(3))])
    assert list(result.pass_at_k) == [1]
    assert math.isclose(result.pass_at_1, 0.5)


def test_an_evaluation_without_traces_is_refused():
    with pytest.raises(ValueError, match="without traces"):
        score("m", [])


@given(evaluations())
def test_every_k_has_an_interval_that_contains_it(evaluation):
    result = score("m", evaluation)
    for name in ("pass_at_k", "majority_at_k"):
        values, intervals = getattr(result, name), getattr(result, f"{name}_interval")
        assert values.keys() == intervals.keys()
        assert all(0 <= low <= values[k] <= high <= 1 and low < high for k, (low, high) in intervals.items())


def test_the_share_undecided_counts_timeouts_and_crashes():
    evaluation = [
        judged("p", 0, Outcome.TIMEOUT, "5"),
        judged("q", 0, Outcome.CRASH, "5"),
        judged("r", 0, Outcome.WRONG, "5"),
        judged("s", 0, Outcome.CORRECT, "5"),
    ]
    assert score("m", evaluation).undecided == 0.5
