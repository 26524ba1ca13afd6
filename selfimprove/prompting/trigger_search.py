"""What a search for a better way of asking is made of: candidate triggers, and the schedule by which worse candidates drop out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from selfimprove.errors import UserError
from selfimprove.prompting.chat import Exemplar
from selfimprove.records import Problem, Trace
from selfimprove.thinking.traces import parsed

KOJIMA = "Let's think step by step."
"""The trigger of Kojima et al. 2022, which others are compared with."""

BY_HAND = (
    KOJIMA,
    "Let's solve this problem by splitting it into steps.",
    "Let's be realistic and think step by step.",
    "Let's think about this logically.",
    "Let's work this out in a step by step way to be sure we have the right answer.",
)
"""Triggers that people have tried: four of Kojima et al. 2022, and the one that Zhou et al. 2022 found for a far larger model."""

LONGEST = 120
"""Characters of a proposed trigger."""


def induction(exemplars: Sequence[Exemplar]) -> Problem:
    """The question to a proposing model: which instruction leads to these solutions? The forward template of Zhou et al. 2022, for a trigger."""
    shown = "\n\n".join(f"Problem: {one.question}\nSolution: {' '.join(one.rationale.split())} The answer is {one.answer}." for one in exemplars)
    question = (
        f'Here are problems and their solutions:\n\n{shown}\n\nWrite one short instruction, beginning with "Let\'s", '
        "that makes a student solve such problems correctly, step by step."
    )
    return Problem("trigger", question, "", "instruction induction")


def distinct_triggers(proposals: Iterable[Trace], known: Iterable[str] = ()) -> tuple[list[str], dict[str, int]]:
    """The proposals that can be tried, in order, and how many are left out for which reason.

    Reasons: `empty`, `cut` (the token limit ended it), `long` (over 120 characters), `duplicate` (of an earlier one or of one in `known`; case, white
    space and punctuation do not count).
    """
    seen, kept, drops = {_key(trigger) for trigger in known}, list[str](), Counter[str]()
    for trace in proposals:
        trigger = " ".join((parsed(trace).answer or "").split()).strip("\"'“”*` ")
        key = _key(trigger)
        if not key:
            drops["empty"] += 1
        elif trace.finish_reason == "length":
            drops["cut"] += 1
        elif len(trigger) > LONGEST:
            drops["long"] += 1
        elif key in seen:
            drops["duplicate"] += 1
        else:
            seen.add(key)
            kept.append(trigger)
    return kept, dict(drops)


def _key(trigger: str) -> str:
    return "".join(sign for sign in trigger.casefold() if sign.isalnum())


def schedule(candidates: int, problems: int) -> list[tuple[int, int]]:
    """How many candidates are in each round, and on how many problems each is scored by its end: half as many on twice as many, on all in the last.

    Successive halving (Jamieson and Talwalkar 2016). The problems of a round include those of the round before, so that only new ones are asked and
    every round costs about the same. One candidate has nothing to win: no rounds.

    Raises:
        UserError: too few problems for each round to add one.
    """
    counts = []
    while candidates > 1:
        counts.append(candidates)
        candidates = (candidates + 1) // 2
    last = len(counts) - 1
    if counts and problems >> last == 0:
        raise UserError(
            f"{counts[0]} candidates want at least {1 << last} problems to be told apart on, not {problems}; give more, or fewer candidates"
        )
    return [(count, problems >> (last - number)) for number, count in enumerate(counts)]


def better_half(rates: Mapping[str, float]) -> list[str]:
    """The names of the better half by their rates, rounded up, in the order given; the earlier of two equals is taken."""
    # Sorting is stable.
    best = set(sorted(rates, key=lambda name: -rates[name])[: (len(rates) + 1) // 2])
    return [name for name in rates if name in best]
