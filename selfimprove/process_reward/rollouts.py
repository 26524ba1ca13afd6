"""What a thought is worth: from its end the model goes on by itself, again and again, and the share that ends right is its label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import JudgedTrace, LabelledTrace, Message, Outcome, Problem, Request
from selfimprove.records.delimiters import Delimiters
from selfimprove.seeds import derive_seed
from selfimprove.thinking.positions import Decode, thought_ends
from selfimprove.thinking.thoughts import split
from selfimprove.thinking.traces import parsed

CREDIBLE = 0.8
"""Of the interval whose width tells whether a share is known well enough."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Rollouts:
    """Soft labels from independent rollouts at every boundary between thoughts (Math-Shepherd, Wang et al. 2023)."""

    least: PositiveInt = 4
    """Rollouts of a boundary in one round, so the fewest that it gets."""
    most: PositiveInt = 16
    """The most of one boundary; as many as `least`: all boundaries get the same."""
    width: Annotated[float, Field(ge=0, lt=1)] = 0.36
    """A boundary gets no more rollouts once the central 80 % interval of its share, from a uniform prior, is narrower than this. At 0.36 four of one
    kind are enough, and an even mixture takes twelve."""
    first_error: bool = False
    """Only look for the first hopeless thought of traces without a right answer, by binary search (OmegaPRM, Luo et al. 2024): thoughts that the
    search does not touch have no label. Traces with a right answer have no such thought; all of theirs are labelled."""
    temperature: PositiveFloat = 0.8
    """At which they are sampled."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """As in `Sampling`."""
    max_tokens: PositiveInt = 256
    """The most tokens of a whole trace, what a rollout goes on from included."""
    wrong: NonNegativeInt | None = 200
    """So many different traces without a right answer are labelled, drawn by the seed, those of problems that also have right ones first; None for
    all."""
    correct: NonNegativeInt | None = 200
    """So many with a right answer, those of problems that also have wrong ones first."""


@plain_dataclass(frozen=True, slots=True)
class Tally:
    """What is known of one boundary."""

    asked: int = 0
    """Rollouts sampled."""
    decided: int = 0
    """Those on which a verdict was reached."""
    right: int = 0


Boundary = tuple[str, tuple[int, ...]]
"""A problem's id and the output tokens up to the end of a thought: traces that begin alike share it, and its rollouts."""


@plain_dataclass(frozen=True, slots=True)
class Unlabelled:
    """A trace whose thoughts are to be labelled."""

    trace_id: str
    problem: Problem
    messages: tuple[Message, ...]
    """What it was asked with."""
    delimiters: Delimiters
    right: bool
    """Its own answer is."""
    thoughts: tuple[str, ...]
    boundaries: tuple[Boundary, ...]
    """At the end of each thought."""

    def labelled(self, tallies: Mapping[Boundary, Tally]) -> LabelledTrace:
        """With what its rollouts came to."""
        found = [tallies.get(boundary, Tally()) for boundary in self.boundaries]
        labels = tuple(one.right / one.decided if one.decided else None for one in found)
        return LabelledTrace(self.trace_id, self.problem.id, self.problem.question, self.thoughts, labels, tuple(one.decided for one in found))


def unlabelled(judged: JudgedTrace, problem: Problem, messages: tuple[Message, ...], decode: Decode) -> Unlabelled:
    """A trace that thinks, with its thoughts and where they end."""
    trace = judged.trace
    thoughts = tuple(thought.text for thought in split(parsed(trace).thinking or ""))
    boundaries = tuple((problem.id, trace.output_token_ids[:count]) for count in thought_ends(trace, decode))
    right = judged.verdict.outcome is Outcome.CORRECT
    return Unlabelled(trace.id, problem, messages, trace.delimiters, right, thoughts, boundaries)


def next_round(traces: Sequence[Unlabelled], tallies: Mapping[Boundary, Tally], rule: Rollouts, seed: int) -> dict[Boundary, list[Request]]:
    """The rollouts still to be sampled after those in `tallies`, of each boundary; none: every label is there.

    Rollouts of one trace stand beside each other, those of a longer prefix after those of a shorter one, so that an engine finds what they share
    in its cache. The same tallies give the same requests.
    """
    wanted: dict[Boundary, list[Request]] = {}
    for trace in traces:
        known = [tallies.get(boundary, Tally()) for boundary in trace.boundaries]
        for number in _due(known, rule, search=rule.first_error and not trace.right):
            boundary = trace.boundaries[number]
            if boundary not in wanted:
                wanted[boundary] = list(_requests(trace, number, known[number], rule, seed))
    return wanted


def _due(known: Sequence[Tally], rule: Rollouts, search: bool) -> list[int]:
    """Which thoughts of a trace need more rollouts."""
    if not search:
        return [number for number, tally in enumerate(known) if _more(tally, rule)]
    # From `reached` the answer can still be right, from `hopeless` it cannot; behind the last thought is the wrong answer itself.
    reached, hopeless = -1, len(known)
    while hopeless - reached > 1:
        middle = (reached + hopeless) // 2
        if _more(known[middle], rule):
            return [middle]
        reached, hopeless = (middle, hopeless) if known[middle].right else (reached, middle)
    return []


def _more(tally: Tally, rule: Rollouts) -> int:
    """How many more rollouts a boundary gets in the next round."""
    narrow = tally.asked > 0 and posterior_width(tally.right, tally.decided) < rule.width
    return 0 if narrow else min(rule.least, rule.most - tally.asked)


def posterior_width(right: int, decided: int) -> float:
    """Width of the central 80 % interval of a share of which so many of so many trials were seen, from a uniform prior: a Beta distribution."""
    from scipy.stats import beta

    low, high = beta.interval(CREDIBLE, 1 + right, 1 + decided - right)
    return float(high - low)


def _requests(trace: Unlabelled, number: int, tally: Tally, rule: Rollouts, seed: int) -> Iterator[Request]:
    prefix = trace.boundaries[number][1]
    for rollout in range(tally.asked, tally.asked + _more(tally, rule)):
        name = f"{trace.trace_id}/t{number}/r{rollout}"
        yield Request(
            id=name,
            problem_id=trace.problem.id,
            messages=trace.messages,
            temperature=rule.temperature,
            top_p=rule.top_p,
            max_tokens=max(1, rule.max_tokens - len(prefix)),
            seed=derive_seed(seed, name),
            delimiters=trace.delimiters,
            prefix=prefix,
        )
