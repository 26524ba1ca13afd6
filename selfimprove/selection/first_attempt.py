"""Reads the first attempt of a trace: what its thoughts state before they look back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from selfimprove.records import Trace
from selfimprove.selection.equations import false_equations, last_value
from selfimprove.thinking.anatomy import dissect
from selfimprove.thinking.behaviours import Behaviour, Behaviours
from selfimprove.thinking.thoughts import Thought

LOOKS_BACK = (Behaviour.REFLECTION, Behaviour.REVISION)
BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
NUMBER = re.compile(r"-?\d+(?:[.,/]\d+)*")


@dataclass(frozen=True, slots=True)
class FirstAttempt:
    """The thoughts of a trace before it first looks back."""

    result: str | None
    """The result that they state: that of a conclusion, or the value of their last equation. None where neither is read."""
    errs: bool
    """Whether they hold a false equation."""
    concludes: bool
    """Whether they end with a conclusion, so that the attempt is complete."""
    revised: bool
    """Whether the trace rejects the attempt: the last of its later thoughts that revises or confirms is a revision."""


def first_attempt(trace: Trace, behaviours: Behaviours) -> FirstAttempt | None:
    """The first attempt of a trace that looks back, by a thought of reflection or revision; None for a trace that never does.

    A trace that never looks back has one attempt, and its answer is that attempt's result.
    """
    thoughts = dissect(trace, behaviours)
    back = next((place for place, (_, behaviour) in enumerate(thoughts) if behaviour in LOOKS_BACK), None)
    if back is None:
        return None
    before, after = thoughts[:back], thoughts[back:]
    concludes = bool(before) and before[-1][1] is Behaviour.CONCLUSION
    judging = [behaviour for _, behaviour in after if behaviour in (Behaviour.REVISION, Behaviour.CONFIRMATION)]
    return FirstAttempt(
        result=_concluded(before[-1][0].text) if concludes else last_value(_text(before)),
        errs=next(false_equations(_text(before)), None) is not None,
        concludes=concludes,
        revised=judging[-1:] == [Behaviour.REVISION],
    )


def _text(thoughts: Sequence[tuple[Thought, Behaviour]]) -> str:
    return "".join(thought.text for thought, _ in thoughts)


def _concluded(conclusion: str) -> str | None:
    found = BOXED.findall(conclusion) or NUMBER.findall(conclusion)
    return found[-1] if found else None
