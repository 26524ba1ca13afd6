"""What was written, and what was found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from selfimprove.records.delimiters import THINK, Delimiters


class Outcome(StrEnum):
    """What became of one trace; the five are never folded into one another."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"
    """There is nothing to judge: the thinking never ended or nothing follows it; or the problem has no reference answer to judge by."""
    TIMEOUT = "timeout"
    """The verifier was killed at its deadline: the answer is undecided."""
    CRASH = "crash"
    """The verifier failed or died on this answer: the answer is undecided."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an endpoint counted for the traces that it wrote."""

    prompt_tokens: int
    output_tokens: int
    cost: float
    """By the prices of the endpoint's settings, in their currency; 0 where they name none."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.output_tokens + other.output_tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a checkpoint, or a teacher, wrote for one request."""

    id: str
    problem_id: str
    checkpoint_id: str
    prompt_token_ids: tuple[int, ...]
    output_token_ids: tuple[int, ...]
    text: str
    """The output as text, end-of-turn token left out."""
    forced: tuple[tuple[int, int], ...]
    """Half-open spans of `output_token_ids` that the decoding loop wrote, not the model."""
    finish_reason: str
    """`stop`: the model ended its turn; `length`: the token limit did; `thought`: it was ended after as many thoughts as were asked for;
    `hopeless`: it was given up for the low rewards of its thoughts."""
    temperature: float
    seed: int
    delimiters: Delimiters = THINK
    opened: bool = False
    """What precedes the text has opened the thinking: it starts inside the block."""
    usage: Usage | None = None
    """Of an endpoint, which shows no token ids; None where they are there."""

    @property
    def output_tokens(self) -> int:
        """Tokens of the output, by its ids or as the endpoint counted them."""
        return self.usage.output_tokens if self.usage else len(self.output_token_ids)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found out about one trace."""

    trace_id: str
    outcome: Outcome
    answer: str | None
    """The answer as it was extracted; None where there is none."""
    verifier: str
    version: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What one thought of a trace was worth: the thinking was ended after it, and the answers that came were judged."""

    trace_id: str
    thought: int
    """Its number among the thoughts that are not blank, from 0."""
    tokens: int
    """Output tokens of the trace up to the end of this thought."""
    right: int
    samples: int

    @property
    def correct(self) -> bool:
        """More than half of the answers are right."""
        return 2 * self.right > self.samples


@dataclass(frozen=True, slots=True)
class ThoughtRewards:
    """What a process reward model says of one trace."""

    trace_id: str
    rewards: tuple[float, ...]
    """One for each complete thought, in order: the chance that what goes on from it ends right."""


@dataclass(frozen=True, slots=True)
class JudgedTrace:
    """A trace and its verdict."""

    trace: Trace
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AnnotatedTrace(JudgedTrace):
    """A judged trace joined with its probes and step rewards."""

    probes: tuple[Probe, ...] = ()
    """One for each thought that is not blank, in order; empty where the trace was not probed."""
    rewards: tuple[float, ...] = ()
    """One for each complete thought, in order; empty without a process reward model."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How the sampling of one problem stands in one generation: what an allocator goes by."""

    problem_id: str
    solve_rate: float | None = None
    """As it was predicted before the first trace: by a model of difficulty, or from earlier generations; None: nothing is known."""
    asked: int = 0
    """Traces asked for, those that are not judged yet included."""
    judged: int = 0
    accepted: int = 0
    """Of the judged ones, those that the selector keeps."""
    distinct: int = 0
    """Of the accepted ones, those of different text."""
    tokens: int = 0
    """Of the judged traces' outputs."""
