"""Search for a better prompt: candidate triggers, and the schedule by which worse candidates drop out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from selfimprove.errors import UserError
from selfimprove.prompting.chat import Exemplar
from selfimprove.records import Problem, Trace
from selfimprove.thinking.traces import parsed

KOJIMA = "Let's think step by step."
"""The trigger of Kojima et al. 2022, with which others are compared."""

BY_HAND = (
    KOJIMA,
    "Let's solve this problem by splitting it into steps.",
    "Let's be realistic and think step by step.",
    "Let's think about this logically.",
    "Let's work this out in a step by step way to be sure we have the right answer.",
)
"""Known triggers: four of Kojima et al. 2022, and the one that Zhou et al. 2022 found for a far larger model."""

LONGEST = 120
"""Maximum number of characters in a proposed trigger."""


def induction(exemplars: Sequence[Exemplar]) -> Problem:
    """The question to a model that proposes triggers: which instruction leads to these solutions? Forward template of Zhou et al. 2022."""
    shown = "\n\n".join(f"Problem: {one.question}\nSolution: {' '.join(one.rationale.split())} The answer is {one.answer}." for one in exemplars)
    question = (
        f'Here are problems and their solutions:\n\n{shown}\n\nWrite one short instruction, beginning with "Let\'s", '
        "that makes a student solve such problems correctly, step by step."
    )
    return Problem("trigger", question, "", "instruction induction")


def distinct_triggers(proposals: Iterable[Trace], known: Iterable[str] = ()) -> tuple[list[str], dict[str, int]]:
    """The usable proposals in order, and the number left out for each reason.

    Reasons: `empty`, `cut` (by the token limit), `long` (over 120 characters), `duplicate` (of an earlier one or of one in `known`, ignoring case,
    white space and punctuation).
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
    """The number of candidates in each round, and of problems on which each is scored by its end. Each round halves the candidates and doubles the
    problems; the last uses all of them.

    Successive halving (Jamieson and Talwalkar 2016). A round includes the problems of the previous one, so that only new ones are asked and all
    rounds cost about the same. A single candidate needs no round.

    Raises:
        UserError: there are too few problems to add one in each round.
    """
    counts = []
    while candidates > 1:
        counts.append(candidates)
        candidates = (candidates + 1) // 2
    last = len(counts) - 1
    if counts and problems >> last == 0:
        raise UserError(f"{counts[0]} candidates need at least {1 << last} problems, not {problems}; give more problems or fewer candidates")
    return [(count, problems >> (last - number)) for number, count in enumerate(counts)]


def better_half(rates: Mapping[str, float]) -> list[str]:
    """The names with the better half of the rates, rounded up, in the order given. Among equals, the earlier one is kept."""
    # Sorting is stable.
    best = set(sorted(rates, key=lambda name: -rates[name])[: (len(rates) + 1) // 2])
    return [name for name in rates if name in best]
