"""Figures about the traces of a generation."""

from __future__ import annotations

import pytest

from selfimprove.records import Trace
from selfimprove.thinking.anatomy import anatomy, dissect
from selfimprove.thinking.behaviours import Behaviour, Behaviours, Cue


def trace(text: str, tokens: int = 10) -> Trace:
    return Trace("t", "p", "c", (1,), tuple(range(tokens)), text, (), "stop", 0.0, 0)


def test_thoughts_and_behaviours_are_counted_per_trace() -> None:
    figures = anatomy(
        iter(
            [
                trace("<think>\nWait, 3.\nWait, 4.\n4 + 3 = 7.\nRight, 7.\n</think>\n7", 20),
                trace("<think>4 + 3 = 7.</think>7", 10),
                trace("7", 2),
                trace("<think>\n</think>7", 4),
            ]
        ),
        Behaviours(),
    ).figures()
    assert figures["traces"] == 4 and figures["thoughts"] == 5 / 4 and figures["output_tokens"] == 9
    assert figures["thinking_characters"] == (len("\nWait, 3.\nWait, 4.\n4 + 3 = 7.\nRight, 7.\n") + len("4 + 3 = 7.")) / 4
    assert (figures["revision"], figures["revision_share"]) == (0.5, 0.25)
    assert (figures["confirmation"], figures["step"], figures["step_share"], figures["plan"]) == (0.25, 0.5, 0.5, 0.0)
    assert sum(figures[behaviour] for behaviour in Behaviour) == pytest.approx(figures["thoughts"])


def test_no_traces_have_no_figures() -> None:
    assert anatomy([], Behaviours()) is None


def test_an_unfinished_trace_is_dissected_as_far_as_it_goes() -> None:
    mine = Behaviours(cues=(Cue(Behaviour.PLAN, "four"),))
    assert [(thought.text, behaviour) for thought, behaviour in dissect(trace("<think>\nFour and three.\nSeven"), mine)] == [
        ("\nFour and three.\n", Behaviour.PLAN),
        ("Seven", Behaviour.STEP),
    ]
