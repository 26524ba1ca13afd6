"""Labels thoughts by rollouts: the model continues from the end of a thought several times, and the share of right answers is the label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import JudgedTrace, LabelledTrace, Message, Outcome, Problem, Request
from selfimprove.records.delimiters import Delimiters
from selfimprove.records.numbers import Float, NonNegativeInt, PositiveFloat, PositiveInt
from selfimprove.seeds import derive_seed
from selfimprove.thinking.positions import Decode, thought_ends
from selfimprove.thinking.thoughts import split
from selfimprove.thinking.traces import parsed

CREDIBLE = 0.8
"""Probability of the interval whose width decides whether a share is known well enough."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Rollouts:
    """Soft labels from independent rollouts at every boundary between thoughts (Math-Shepherd, Wang et al. 2023)."""

    least: PositiveInt = 4
    """Rollouts of a boundary in one round, and so the minimum for each boundary."""
    most: PositiveInt = 16
    """Maximum number of rollouts of a boundary. If equal to `least`, all boundaries get the same number."""
    width: Annotated[Float, Field(ge=0, lt=1)] = 0.36
    """A boundary gets no more rollouts once the central 80 % interval of its share, from a uniform prior, is narrower than this. At 0.36, four
    rollouts with the same outcome are enough, and an even mixture takes twelve."""
    first_error: bool = False
    """Find only the first hopeless thought of each trace without a right answer, by binary search (OmegaPRM, Luo et al. 2024); thoughts that the
    search skips get no label. Traces with a right answer have no such thought, and all of their thoughts are labelled."""
    temperature: PositiveFloat = 0.8
    """Sampling temperature of the rollouts."""
    top_p: Annotated[Float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling of the rollouts, as in `Sampling`."""
    max_tokens: PositiveInt = 256
    """Maximum number of tokens in a whole trace, including the prefix that a rollout continues."""
    wrong: NonNegativeInt | None = 200
    """Number of different traces without a right answer to label, drawn with the seed; problems that also have right traces come first. None for
    all."""
    correct: NonNegativeInt | None = 200
    """Number of different traces with a right answer to label; problems that also have wrong traces come first. None for all."""


@plain_dataclass(frozen=True, slots=True)
class RolloutCounts:
    """Rollouts of one boundary so far."""

    asked: int = 0
    """Rollouts sampled."""
    decided: int = 0
    """Rollouts with a verdict."""
    right: int = 0
    """Rollouts with a right answer."""


Boundary = tuple[str, tuple[int, ...]]
"""A problem's id and the output tokens up to the end of a thought. Traces that begin alike share boundaries and their rollouts."""


@plain_dataclass(frozen=True, slots=True)
class Unlabelled:
    """A trace with thoughts to label."""

    trace_id: str
    problem: Problem
    messages: tuple[Message, ...]
    """The chat it answers."""
    delimiters: Delimiters
    right: bool
    """Whether its own answer is right."""
    thoughts: tuple[str, ...]
    boundaries: tuple[Boundary, ...]
    """The boundary at the end of each thought."""

    def labelled(self, counts: Mapping[Boundary, RolloutCounts]) -> LabelledTrace:
        """The trace with the labels that its rollouts give."""
        found = [counts.get(boundary, RolloutCounts()) for boundary in self.boundaries]
        labels = tuple(one.right / one.decided if one.decided else None for one in found)
        return LabelledTrace(self.trace_id, self.problem.id, self.problem.question, self.thoughts, labels, tuple(one.decided for one in found))


def unlabelled(judged: JudgedTrace, problem: Problem, messages: tuple[Message, ...], decode: Decode) -> Unlabelled:
    """A trace that thinks, with its thoughts and their boundaries."""
    trace = judged.trace
    thoughts = tuple(thought.text for thought in split(parsed(trace).thinking or ""))
    boundaries = tuple((problem.id, trace.output_token_ids[:count]) for count in thought_ends(trace, decode))
    right = judged.verdict.outcome is Outcome.CORRECT
    return Unlabelled(trace.id, problem, messages, trace.delimiters, right, thoughts, boundaries)


def next_round(traces: Sequence[Unlabelled], counts: Mapping[Boundary, RolloutCounts], rule: Rollouts, seed: int) -> dict[Boundary, list[Request]]:
    """The rollouts of each boundary to sample after those in `counts`; empty once every label is known.

    Rollouts of one trace are adjacent, longer prefixes after shorter ones, so that an engine finds the shared part in its cache. The same counts give
    the same requests.
    """
    wanted: dict[Boundary, list[Request]] = {}
    for trace in traces:
        known = [counts.get(boundary, RolloutCounts()) for boundary in trace.boundaries]
        for number in _due(known, rule, search=rule.first_error and not trace.right):
            boundary = trace.boundaries[number]
            if boundary not in wanted:
                wanted[boundary] = list(_requests(trace, number, known[number], rule, seed))
    return wanted


def _due(known: Sequence[RolloutCounts], rule: Rollouts, search: bool) -> list[int]:
    """The thoughts of a trace that need more rollouts."""
    if not search:
        return [number for number, one in enumerate(known) if _more(one, rule)]
    # From `reached` the answer can still be right, from `hopeless` it cannot. The wrong answer itself follows the last thought.
    reached, hopeless = -1, len(known)
    while hopeless - reached > 1:
        middle = (reached + hopeless) // 2
        if _more(known[middle], rule):
            return [middle]
        reached, hopeless = (middle, hopeless) if known[middle].right else (reached, middle)
    return []


def _more(counts: RolloutCounts, rule: Rollouts) -> int:
    """Number of rollouts that a boundary gets in the next round."""
    narrow = counts.asked > 0 and posterior_width(counts.right, counts.decided) < rule.width
    return 0 if narrow else min(rule.least, rule.most - counts.asked)


def posterior_width(right: int, decided: int) -> float:
    """Width of the central 80 % interval of a share, given right and decided rollouts and a uniform prior: the posterior is a Beta distribution."""
    from scipy.stats import beta

    low, high = beta.interval(CREDIBLE, 1 + right, 1 + decided - right)
    return float(high - low)


def _requests(trace: Unlabelled, number: int, counts: RolloutCounts, rule: Rollouts, seed: int) -> Iterator[Request]:
    prefix = trace.boundaries[number][1]
    for rollout in range(counts.asked, counts.asked + _more(counts, rule)):
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
