"""The traces of a generation in figures."""

from __future__ import annotations

import pytest

from selfimprove.records import Trace
from selfimprove.thinking.anatomy import anatomy, dissect
from selfimprove.thinking.behaviours import Cue, Moment, Moments


def trace(text: str, tokens: int = 10) -> Trace:
    return Trace("t", "p", "c", (1,), tuple(range(tokens)), text, (), "stop", 0.0, 0)


def test_thoughts_and_moments_are_counted_per_trace() -> None:
    figures = anatomy(
        iter(
            [
                trace("<think>\nWait, 3.\nWait, 4.\n4 + 3 = 7.\nRight, 7.\n</think>\n7", 20),
                trace("<think>4 + 3 = 7.</think>7", 10),
                trace("7", 2),
                trace("<think>\n</think>7", 4),
            ]
        ),
        Moments(),
    )
    assert figures["traces"] == 4 and figures["thoughts"] == 5 / 4 and figures["output_tokens"] == 9
    assert figures["thinking_characters"] == (len("\nWait, 3.\nWait, 4.\n4 + 3 = 7.\nRight, 7.\n") + len("4 + 3 = 7.")) / 4
    assert (figures["revision"], figures["revision_share"]) == (0.5, 0.25)
    assert (figures["confirmation"], figures["step"], figures["step_share"], figures["plan"]) == (0.25, 0.5, 0.5, 0.0)
    assert sum(figures[moment] for moment in Moment) == pytest.approx(figures["thoughts"])


def test_no_traces_have_no_figures() -> None:
    assert anatomy([], Moments()) == {}


def test_an_unfinished_trace_is_dissected_as_far_as_it_goes() -> None:
    mine = Moments(cues=(Cue(Moment.PLAN, "four"),))
    assert [(thought.text, moment) for thought, moment in dissect(trace("<think>\nFour and three.\nSeven"), mine)] == [
        ("\nFour and three.\n", Moment.PLAN),
        ("Seven", Moment.STEP),
    ]
