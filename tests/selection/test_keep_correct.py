"""What rejection sampling drops, and for which reason."""

from __future__ import annotations

from dataclasses import replace

from selfimprove import KeepCorrect
from selfimprove.records import AnnotatedTrace, Message, Outcome, Trace, Verdict

TEXT = "<think>\na.\nb.\n</think>\n2"
TRACE = Trace("p/g1/s0", "p", "m", (1,), tuple(range(9)), TEXT, (), "stop", 0.8, 1)
GOOD = AnnotatedTrace(TRACE, Verdict(TRACE.id, Outcome.CORRECT, "2", "v", "1"), rewards=(0.9, 0.6))
PROMPTS = {"p": (Message(role="user", content="1 + 1"),)}


def drops(item: AnnotatedTrace, lowest: float | None) -> dict[str, int]:
    return dict(KeepCorrect(lowest_step=lowest).select([item], PROMPTS, 1).drops)


def test_a_right_trace_with_a_thought_of_low_reward_is_dropped_as_a_bad_step() -> None:
    assert drops(GOOD, None) == drops(GOOD, 0.6) == {}
    assert drops(GOOD, 0.7) == {"bad step": 1}
    assert drops(replace(GOOD, rewards=()), 0.1) == {"bad step": 1}, "no thought, no reward"
    wrong = replace(GOOD, verdict=replace(GOOD.verdict, outcome=Outcome.WRONG))
    assert drops(wrong, 0.7) == {"wrong": 1}


def test_a_trace_that_was_given_up_is_counted_as_hopeless() -> None:
    given_up = replace(GOOD, trace=replace(GOOD.trace, finish_reason="hopeless"), verdict=replace(GOOD.verdict, outcome=Outcome.UNPARSEABLE))
    assert drops(given_up, None) == {"hopeless": 1}
