"""Finds the first wrong step in the thoughts of a wrong trace."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

from selfimprove.records import AnnotatedTrace
from selfimprove.selection.equations import false_equations
from selfimprove.selection.normal_text import normal_text, words
from selfimprove.thinking.thoughts import Thought

LIKELY_RIGHT = 0.5
"""Reward from which a continuation from a thought is more likely right than wrong."""


def first_wrong_step(wrong: AnnotatedTrace, thoughts: Sequence[Thought], right: Sequence[Thought], chance: random.Random) -> int | None:
    """The index of the first wrong thought, by the most reliable sign available; None if all thoughts are in the right trace too.

    The signs, in this order: a false equation; a truncated-thinking probe, which was right after the thought before and is wrong after this one; a
    step reward below a half. Without any, a thought is drawn. A thought up to which both traces agree is never taken for the first wrong one.

    Args:
        wrong: The wrong trace, with its probes and step rewards.
        thoughts: Its thoughts that are not blank.
        right: Those of a right trace of the same problem.
        chance: Draws one where there is no sign.
    """
    agreed = _agreed(thoughts, right)
    if agreed == len(thoughts):
        return None
    found = next(_signs(wrong, thoughts), None)
    return chance.randrange(agreed, len(thoughts)) if found is None else max(agreed, min(found, len(thoughts) - 1))


def _signs(wrong: AnnotatedTrace, thoughts: Sequence[Thought]) -> Iterator[int]:
    yield from (place for place, thought in enumerate(thoughts) if next(false_equations(thought.text), None))
    yield from (later.thought for before, later in pairwise(wrong.probes) if before.correct and not later.correct)
    yield from (place for place, reward in enumerate(wrong.rewards) if reward < LIKELY_RIGHT)


def _agreed(thoughts: Sequence[Thought], right: Sequence[Thought]) -> int:
    """Number of thoughts at the beginning that both traces have."""
    count = 0
    for one, other in zip(thoughts, right, strict=False):
        if wording(one.text) != wording(other.text):
            break
        count += 1
    return count


def wording(text: str) -> list[str]:
    """The words, numbers and operators of a text, by which thoughts are the same or not."""
    return words(normal_text(text))
