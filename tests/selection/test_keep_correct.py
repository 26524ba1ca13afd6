"""Which traces rejection sampling drops, and why."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from selfimprove import KeepCorrect, KeepMajority
from selfimprove.records import AnnotatedTrace, Grade, Message, Outcome, Trace, Verdict

TEXT = "<think>\na.\nb.\n</think>\n2"
TRACE = Trace("p/g1/s0", "p", "m", (1,), tuple(range(9)), TEXT, (), "stop", 0.8, 1)
GOOD = AnnotatedTrace(TRACE, Verdict(TRACE.id, Outcome.CORRECT, "2", "v", "1", 1.0), rewards=(0.9, 0.6))
PROMPTS = {"p": (Message(role="user", content="1 + 1"),)}


def drops(item: AnnotatedTrace, lowest: float | None) -> dict[str, int]:
    return dict(KeepCorrect(lowest_step=lowest).select([item], PROMPTS, 1).drops)


def test_a_correct_trace_with_a_thought_of_low_reward_is_dropped_as_a_bad_step() -> None:
    assert drops(GOOD, None) == drops(GOOD, 0.6) == {}
    assert drops(GOOD, 0.7) == {"bad step": 1}
    assert drops(replace(GOOD, rewards=()), 0.1) == {"bad step": 1}, "no thought, no reward"
    wrong = replace(GOOD, verdict=replace(GOOD.verdict, outcome=Outcome.WRONG))
    assert drops(wrong, 0.7) == {"wrong": 1}


@given(st.floats(0, 1), st.floats(0.01, 1), st.sampled_from([Outcome.UNPARSEABLE, Outcome.TIMEOUT, Outcome.CRASH]))
def test_partial_credit_is_accepted_from_the_lowest_score_on(score: float, lowest: float, undecided: Outcome) -> None:
    graded = replace(GOOD, verdict=replace(GOOD.verdict, outcome=Grade(score).outcome, score=score))
    assert (KeepCorrect().reason_to_drop(graded) is None) == (score == 1)
    assert KeepCorrect(lowest_score=lowest).reason_to_drop(graded) == (None if score >= lowest else "wrong")
    assert KeepCorrect(lowest_score=lowest).reason_to_drop(GOOD) is None
    no_answer = replace(GOOD, verdict=replace(GOOD.verdict, outcome=undecided, score=0.0))
    assert KeepCorrect(lowest_score=lowest).reason_to_drop(no_answer) == undecided.value


def test_a_selector_states_what_it_needs() -> None:
    plain, choosy = KeepCorrect(), KeepCorrect(lowest_step=0.5, max_tokens=9)
    for selector in (choosy, KeepMajority(form=choosy)):
        assert selector.needs_step_rewards and selector.max_tokens == 9
    for selector in (plain, KeepMajority()):
        assert not selector.needs_step_rewards and selector.max_tokens is None
    assert plain.needs_reference and not KeepMajority().needs_reference


def test_a_trace_that_was_given_up_is_counted_as_hopeless() -> None:
    given_up = replace(GOOD, trace=replace(GOOD.trace, finish_reason="hopeless"), verdict=replace(GOOD.verdict, outcome=Outcome.UNPARSEABLE))
    assert drops(given_up, None) == {"hopeless": 1}
