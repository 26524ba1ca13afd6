"""Paired comparisons, checked against their definitions and against statsmodels."""

from __future__ import annotations

import random

import pytest
from evaluations import evaluation
from hypothesis import given, settings
from hypothesis import strategies as st

from selfimprove.evaluation.gates import AlwaysPromote, NotWorse, StrictGate
from selfimprove.evaluation.paired import change_at_k, compare, smallest_improvement
from selfimprove.records import Score


def greedy(right: list[bool]) -> Score:
    return evaluation({f"p{number:03}": (int(one), 1) for number, one in enumerate(right)})


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
@settings(deadline=None, max_examples=30)
def test_mcnemar_is_half_of_the_two_sided_test_of_statsmodels(pairs):
    from statsmodels.stats.contingency_tables import mcnemar

    before, after = (greedy([pair[side] for pair in pairs]) for side in (0, 1))
    found = compare(before, after)
    gained, lost = sum(b < a for b, a in pairs), sum(b > a for b, a in pairs)
    assert (found.gained, found.lost, found.test) == (gained, lost, "McNemar exact")
    assert found.difference == pytest.approx((gained - lost) / len(pairs))
    both_sides = float(mcnemar([[0, lost], [gained, 0]], exact=True).pvalue)
    assert min(1, 2 * min(found.p_better, compare(after, before).p_better)) == pytest.approx(both_sides)
    assert found.low <= found.difference + 1e-9 and found.high >= found.difference - 1e-9


def test_several_samples_are_compared_by_a_seeded_bootstrap_over_problems():
    chance = random.Random(3)
    before = evaluation({f"p{n}": (chance.randint(0, 4), 8) for n in range(60)})
    after = evaluation({name: (min(8, right + chance.randint(0, 3)), 8) for name, (right, _) in before.solved.items()})
    found = compare(before, after)
    assert found.test == "paired bootstrap" and found.p_better < 0.01 and 0 < found.low < found.difference < found.high
    assert compare(before, after) == found
    assert compare(after, before).p_better > 0.99
    mixed = evaluation({name: (max(0, min(8, right + chance.randint(-2, 2))), 8) for name, (right, _) in before.solved.items()})
    assert compare(before, mixed).p_better != compare(before, mixed, seed=1).p_better


def test_without_a_true_difference_a_gain_is_seen_about_as_often_as_the_level_says():
    chance = random.Random(5)

    def one() -> Score:
        return evaluation({f"p{n}": (sum(chance.random() < 0.5 for _ in range(4)), 4) for n in range(30)})

    seen = sum(compare(one(), one()).p_better < 0.05 for _ in range(150))
    assert seen / 150 < 0.12


def test_evaluations_on_different_problems_are_not_compared():
    with pytest.raises(ValueError, match="different problems"):
        compare(evaluation({"a": (1, 1)}), evaluation({"b": (1, 1)}))


def scored(both: int, gained: int, lost: int, neither: int) -> tuple[Score, Score]:
    right = [(True, True)] * both + [(False, True)] * gained + [(True, False)] * lost + [(False, False)] * neither
    return greedy([before for before, _ in right]), greedy([after for _, after in right])


@pytest.mark.parametrize(
    ("gained", "lost", "strict", "not_worse"),
    [(12, 2, True, True), (10, 6, False, True), (3, 3, False, True), (25, 25, False, False), (5, 6, False, False), (2, 20, False, False)],
)
def test_what_the_gates_promote(gained, lost, strict, not_worse):
    champion, candidate = scored(60, gained, lost, 150 - 60 - gained - lost)
    assert StrictGate().decide(champion, candidate).promote is strict
    assert NotWorse().decide(champion, candidate).promote is not_worse
    assert AlwaysPromote().decide(champion, candidate).promote


def test_the_reason_names_both_scores_the_change_and_the_test():
    champion, candidate = scored(60, 12, 2, 76)
    assert StrictGate().decide(champion, candidate).why == "pass@1 0.480 > 0.413: 12 gained, 2 lost; McNemar exact p = 0.0065 < 0.05"
    assert "at worst +0.0" in NotWorse().decide(champion, candidate).why


def test_the_smallest_improvement_is_significant_and_the_likely_one_is_found_four_times_in_five():
    counts, likely = smallest_improvement(150)
    assert counts == pytest.approx(5 / 150)
    champion, candidate = scored(60, 5, 0, 85)
    assert StrictGate().decide(champion, candidate).promote
    assert not StrictGate().decide(*scored(60, 4, 0, 86)).promote
    chance, disagree, net = random.Random(1), 30, round(likely * 150)
    found = 0
    for _ in range(120):
        gained = sum(chance.random() < (disagree + net) / (2 * disagree) for _ in range(disagree))
        found += StrictGate().decide(*scored(60, gained, disagree - gained, 60)).promote
    assert 0.68 < found / 120 < 0.94


def test_an_evaluation_of_four_problems_shows_nothing():
    counts, likely = smallest_improvement(4)
    assert counts > 1 and likely == float("inf")


def test_changes_of_pass_at_k_and_pass_at_1_are_distinguished():
    before = evaluation({f"p{n}": (1, 4) for n in range(40)})
    after = evaluation({f"p{n}": (3, 4) for n in range(40)})
    assert (change_at_k(before, after, 1), change_at_k(before, after, 4), change_at_k(after, before, 1)) == (1, 0, -1)
