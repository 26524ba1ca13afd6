"""Candidate triggers, and the schedule by which they drop out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import EXEMPLAR

from selfimprove import UserError
from selfimprove.prompting.trigger_search import BY_HAND, KOJIMA, better_half, distinct_triggers, induction, schedule
from selfimprove.records import Trace


def proposal(text: str, finish: str = "stop") -> Trace:
    return Trace("t/proposal/s0", "t", "m", (), (), text, (), finish, 0.7, 0)


def test_unusable_proposals_are_left_out_and_counted() -> None:
    texts = ['"Let\'s add  slowly."', "let's add slowly", " ", "Let's think step-by-step!", "x" * 121, "<think>hm</think>Let's check\neach step."]
    kept, drops = distinct_triggers([*map(proposal, texts), proposal("Let's go on and", "length")], known=[KOJIMA])
    assert kept == ["Let's add slowly.", "Let's check each step."]
    assert drops == {"duplicate": 2, "empty": 1, "long": 1, "cut": 1}


@given(st.lists(st.text(max_size=150)))
def test_every_proposal_is_kept_once_or_counted(texts: list[str]) -> None:
    kept, drops = distinct_triggers(map(proposal, texts), known=BY_HAND)
    assert len(kept) + sum(drops.values()) == len(texts)
    assert distinct_triggers(map(proposal, kept)) == (kept, {})


def test_the_proposing_model_sees_the_worked_examples() -> None:
    assert f"Problem: {EXEMPLAR.question}\nSolution: {EXEMPLAR.rationale} The answer is {EXEMPLAR.answer}." in induction([EXEMPLAR]).question


@given(st.integers(2, 64), st.integers(64, 1000))
def test_each_round_has_half_the_candidates_on_twice_the_problems_and_costs_about_the_same(candidates: int, problems: int) -> None:
    rounds = schedule(candidates, problems)
    assert rounds[0][0] == candidates and rounds[-1] == (2, problems)
    for (many, few), (fewer, more) in pairwise(rounds):
        assert fewer == math.ceil(many / 2) and more in (2 * few, 2 * few + 1)
    costs = [count * (upto - before) for (count, upto), (_, before) in zip(rounds, [(0, 0), *rounds], strict=False)]
    assert max(costs) <= 2 * candidates * problems / 2 ** (len(rounds) - 1)
    assert sum(costs) <= candidates * problems


def test_one_candidate_needs_no_round_and_too_few_problems_are_refused() -> None:
    assert schedule(1, 5) == []
    with pytest.raises(UserError, match="9 candidates need at least 8 problems, not 7"):
        schedule(9, 7)


@given(st.dictionaries(st.text(), st.sampled_from([0.0, 0.25, 0.5]), min_size=1))
def test_no_dropped_candidate_is_better_than_a_kept_one_and_the_earlier_of_equals_is_kept(rates: dict[str, float]) -> None:
    kept = better_half(rates)
    dropped = [name for name in rates if name not in kept]
    assert len(kept) == math.ceil(len(rates) / 2) and kept == [name for name in rates if name in kept]
    order = list(rates)
    for out in dropped:
        assert all((rates[stays], -order.index(stays)) > (rates[out], -order.index(out)) for stays in kept)
