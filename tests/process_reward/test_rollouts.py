from __future__ import annotations

from collections.abc import Callable
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import SIGNS

from selfimprove.process_reward.rollouts import Boundary, RolloutCounts, Rollouts, Unlabelled, next_round, posterior_width, unlabelled
from selfimprove.records import JudgedTrace, Outcome, Problem, Request, Trace, Verdict

PROBLEM = Problem("p", "1 + 1 =", "2", "toy")
ASKED = ({"role": "user", "content": "1 + 1 ="},)


def trace(name: str, thoughts: str, right: bool = False) -> Unlabelled:
    text = f"<think>\n{thoughts}\n</think>\n2"
    written = Trace(name, "p", "m", (1,), tuple(map(SIGNS.index, text)), text, (), "stop", 0.8, 0)
    verdict = Verdict(name, Outcome.CORRECT if right else Outcome.WRONG, "2", "toy", "1", float(right))
    return unlabelled(JudgedTrace(written, verdict), PROBLEM, ASKED, lambda ids: "".join(SIGNS[token] for token in ids))


def roll(traces: list[Unlabelled], rule: Rollouts, right: Callable[[Request], bool]) -> tuple[dict[Boundary, RolloutCounts], list[list[Request]]]:
    """All rounds, with outcomes given by `right`."""
    counts: dict[Boundary, RolloutCounts] = {}
    rounds = []
    while wanted := next_round(traces, counts, rule, seed=3):
        assert next_round(traces, counts, rule, seed=3) == wanted
        for boundary, requests in wanted.items():
            old = counts.get(boundary, RolloutCounts())
            counts[boundary] = RolloutCounts(old.asked + len(requests), old.decided + len(requests), old.right + sum(map(right, requests)))
        rounds.append([request for several in wanted.values() for request in several])
    return counts, rounds


def said(request: Request) -> str:
    return "".join(SIGNS[token] for token in request.prefix)


def test_rollouts_continue_from_the_end_of_each_thought() -> None:
    one = trace("p/g1/s0", "a.\nb.\nc.")
    assert one.thoughts == ("\na.\n", "b.\n", "c.\n") and "".join(one.thoughts) == "\na.\nb.\nc.\n"
    _, rounds = roll([one], Rollouts(least=2, most=2), lambda request: True)
    assert [said(request) for request in rounds[0]] == [text for text in ("<think>\na.", "<think>\na.\nb.", "<think>\na.\nb.\nc.") for _ in range(2)]
    assert len({request.seed for request in rounds[0]}) == len({request.id for request in rounds[0]}) == 6
    assert all(len(request.prefix) + request.max_tokens == 256 and request.messages == ASKED for request in rounds[0])


def test_a_label_is_the_share_of_rollouts_with_a_right_answer() -> None:
    one = trace("p/g1/s0", "a.\nb.\nc.")
    counts, _ = roll([one], Rollouts(least=4, most=4), lambda request: len(said(request)) < 12 or request.id.endswith("/r0"))
    found = one.labelled(counts)
    assert found.labels == (1.0, 0.25, 0.25) and found.counts == (4, 4, 4)
    assert (found.trace_id, found.problem_id, found.prompt) == ("p/g1/s0", "p", "1 + 1 =")


def test_undecided_rollouts_do_not_count() -> None:
    one = trace("p/g1/s0", "a.\nb.")
    first, second = one.boundaries
    found = one.labelled({first: RolloutCounts(asked=4, decided=3, right=1), second: RolloutCounts(asked=4)})
    assert found.labels == (pytest.approx(1 / 3), None) and found.counts == (3, 0)


def test_uncertain_boundaries_get_more_rollouts() -> None:
    one = trace("p/g1/s0", "a.\nb.\nc.")
    rule = Rollouts(least=4, most=16, width=0.36)
    counts, rounds = roll([one], rule, lambda request: len(said(request)) < 12 or (len(said(request)) < 14 and int(request.id[-1]) % 2 == 0))
    assert [counts[boundary].asked for boundary in one.boundaries] == [4, 12, 4]
    assert [len(requests) for requests in rounds] == [12, 4, 4]
    assert all(posterior_width(one.right, one.decided) < rule.width for one in counts.values())
    fixed, _ = roll([one], Rollouts(least=4, most=16, width=0), lambda request: True)
    assert {one.asked for one in fixed.values()} == {16}


def test_traces_that_begin_alike_share_their_rollouts() -> None:
    pair = [trace("p/g1/s0", "a.\nb."), trace("p/g1/s1", "a.\nc.")]
    counts, rounds = roll(pair, Rollouts(least=4, most=4), lambda request: True)
    assert len(counts) == 3 and len(rounds[0]) == 12
    assert pair[0].boundaries[0] == pair[1].boundaries[0]


@given(st.integers(0, 30).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))))
def test_binary_search_finds_the_first_hopeless_thought_in_few_questions(case: tuple[int, int]) -> None:
    size, first_bad = case
    one = trace("p/g1/s0", "\n".join(f"{number}." for number in range(size + 1)))
    rule = Rollouts(least=2, most=2, first_error=True)
    counts, rounds = roll([one], rule, lambda request: said(request).count(".") <= first_bad)
    labels = one.labelled(counts).labels
    assert len(rounds) <= log2(size + 2) + 1
    assert first_bad == 0 or labels[first_bad - 1] == 1.0
    assert labels[first_bad] == 0.0 or first_bad > size
    assert all(label is None or label == float(number < first_bad) for number, label in enumerate(labels))


def test_a_trace_with_a_right_answer_is_not_searched_for_errors() -> None:
    one = trace("p/g1/s0", "a.\nb.\nc.", right=True)
    counts, rounds = roll([one], Rollouts(least=2, most=2, first_error=True), lambda request: True)
    assert len(rounds) == 1 and one.labelled(counts).counts == (2, 2, 2)
