"""Traces, and what is found out about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from numbers import Real

from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.ranges import Amount, Count, Finite, Share


class Outcome(StrEnum):
    """Outcome of verifying one trace. The five are always counted apart."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"
    """There is no answer to verify, because the thinking never ended or nothing follows it; the problem has no reference answer; or a judge gave no
    verdict."""
    TIMEOUT = "timeout"
    """The verifier was killed at its deadline; the answer is undecided."""
    CRASH = "crash"
    """The verifier failed or died on this answer; the answer is undecided."""

    @property
    def score(self) -> float:
        """Score of an answer with this outcome, unless the verifier grades it: 1 for `correct`, else 0."""
        return float(self is Outcome.CORRECT)


@dataclass(frozen=True, slots=True)
class Grade:
    """What a verifier returns in place of an `Outcome` to give partial credit."""

    score: float
    """From 0 to 1. Only 1 is `correct`; anything below is `wrong`."""

    def __post_init__(self) -> None:
        """Raises ValueError for a score that is not a number from 0 to 1."""
        score: object = self.score
        if not (isinstance(score, Real) and 0 <= float(score) <= 1):
            raise ValueError(f"a score must be a number from 0 to 1, not {self.score!r}")

    @property
    def outcome(self) -> Outcome:
        """CORRECT or WRONG."""
        return Outcome.CORRECT if self.score == 1 else Outcome.WRONG


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost that an endpoint reported for its traces."""

    prompt_tokens: Count
    output_tokens: Count
    cost: Amount
    """Cost at the prices in the endpoint's settings, in their currency; 0 without prices."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.output_tokens + other.output_tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Trace:
    """The output of a checkpoint or a teacher for one request."""

    id: str
    problem_id: str
    checkpoint_id: str
    prompt_token_ids: tuple[int, ...]
    output_token_ids: tuple[int, ...]
    text: str
    """The output as text, without the end-of-turn token."""
    forced: tuple[tuple[int, int], ...]
    """Half-open spans of `output_token_ids` that the decoding loop wrote in place of the model."""
    finish_reason: str
    """Why the output ended. `stop`: the model ended its turn; `length`: the token limit; `thought`: the requested number of thoughts; `hopeless`: a
    search gave it up for low rewards."""
    temperature: Amount
    seed: int
    delimiters: Delimiters = THINK
    opened: bool = False
    """Whether the text starts inside the thinking, because the prompt or the prefix opened it."""
    usage: Usage | None = None
    """Usage that an endpoint reported in place of token ids; None where there are token ids."""

    @property
    def output_tokens(self) -> int:
        """Number of output tokens, by their ids or as the endpoint counted them."""
        return self.usage.output_tokens if self.usage else len(self.output_token_ids)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying one trace."""

    trace_id: str
    outcome: Outcome
    answer: str | None
    """The extracted answer; None where there is none."""
    verifier: str
    version: str
    score: Share
    """From 0 to 1: 1 for `correct`, partial credit for a `wrong` answer that the verifier graded, else 0."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a thought of a trace was worth: answers that follow when the thinking is truncated after it."""

    trace_id: str
    thought: Count
    """Index among the thoughts that are not blank, from 0."""
    tokens: Count
    """Output tokens up to the end of this thought."""
    right: Count
    samples: Count

    @property
    def correct(self) -> bool:
        """Whether more than half of the answers are right."""
        return 2 * self.right > self.samples


@dataclass(frozen=True, slots=True)
class ThoughtRewards:
    """Rewards of a process reward model for one trace."""

    trace_id: str
    rewards: tuple[Finite, ...]
    """For each complete thought, in order, the chance that a continuation from it ends correct."""


@dataclass(frozen=True, slots=True)
class JudgedTrace:
    """A trace and its verdict."""

    trace: Trace
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AnnotatedTrace(JudgedTrace):
    """A judged trace joined with its probes, step rewards and further verdicts."""

    probes: tuple[Probe, ...] = ()
    """One for each thought that is not blank, in order; empty where the trace was not probed."""
    rewards: tuple[float, ...] = ()
    """One for each complete thought, in order; empty without a process reward model."""
    further: tuple[Verdict, ...] = ()
    """Verdicts of the workflow's further verifiers; empty but for traces of evaluations."""


@dataclass(frozen=True, slots=True)
class Tries:
    """State of sampling one problem in one generation, which an allocator decides by."""

    problem_id: str
    solve_rate: float | None = None
    """Predicted before the first trace, by a difficulty model or from earlier generations; None without a prediction."""
    asked: int = 0
    """Traces requested, including those without a verdict yet."""
    judged: int = 0
    accepted: int = 0
    """Judged traces that the selector keeps."""
    distinct: int = 0
    """Accepted traces of different text."""
    tokens: int = 0
    """Output tokens of the judged traces."""
