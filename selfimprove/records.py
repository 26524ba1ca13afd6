"""Every record that flows through the loop, in the order they are made; each is flat, frozen and joined to the others by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from typing_extensions import TypedDict


class Message(TypedDict):
    """One turn of a chat, in the form that chat templates take."""

    role: str
    content: str


class Outcome(StrEnum):
    """What became of one trace; the five are never folded into one another."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"
    """The trace holds no answer to judge: the thinking never ended, or nothing follows it."""
    TIMEOUT = "timeout"
    """The verifier was killed at its deadline: the answer is undecided."""
    CRASH = "crash"
    """The verifier failed or died on this answer: the answer is undecided."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its reference answer."""

    id: str
    question: str
    answer: str
    source: str
    """Where it comes from: `reasoning-gym:chain_sum`, `jsonl:train.jsonl`, …"""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the verifier needs beside the answer; JSON values only."""


@dataclass(frozen=True, slots=True)
class Request:
    """One trace asked of a sampler: a prompt and how to decode it."""

    id: str
    """The id of the trace that answers it: `chain_sum-17/g3/s5` is problem `chain_sum-17`, generation 3, sample 5."""
    problem_id: str
    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    max_tokens: int
    """The most tokens of the whole output, thinking and answer."""
    seed: int
    """Fixes the tokens of this request, whatever else runs beside it (on one kind of device)."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a checkpoint wrote for one request."""

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
    """`stop`: the model ended its turn; `length`: the token limit did."""
    temperature: float
    seed: int


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
class JudgedTrace:
    """A trace beside its verdict."""

    trace: Trace
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AcceptedTrace:
    """A row to train on: given `messages`, write `completion`."""

    trace_id: str
    problem_id: str
    messages: tuple[Message, ...]
    completion: str
    origin: str
    """`sampled`, or `answer-only` for a row of that baseline."""
    generation: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector keeps, and how many traces it drops for which reason."""

    accepted: tuple[AcceptedTrace, ...]
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimizer step, as it happens."""

    step: int
    steps: int
    """How many there will be."""
    loss: float
    """Mean cross-entropy over the completion tokens of the step, in nats."""
    learning_rate: float
    tokens: int
    """Tokens trained on up to and with this step, prompts included, padding not."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on disk: weights, tokenizer and chat template in one folder."""

    id: str
    path: str
    parent_id: str | None
    generation: int
    weights_hash: str
    """SHA-256 over the safetensors files."""
    tokenizer_hash: str
    """SHA-256 over the tokenizer's files and the chat template."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a checkpoint did in one exam."""

    checkpoint_id: str
    problems: int
    pass_at_1: float
    """Share of problems solved by one sample; the mean over samples where there are several."""
    interval: tuple[float, float]
    """95 % interval of `pass_at_1` over problems."""
    pass_at_k: Mapping[int, float]
    """Chance that at least one of k samples is right, by k."""
    majority_at_k: Mapping[int, float]
    """Share of problems whose most frequent answer among the first k samples is right, by k."""
    outcomes: Mapping[str, int]
    """Traces by outcome."""
    tokens: int
    """Tokens sampled in the exam."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate says of a candidate."""

    promote: bool
    why: str


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """One generation in figures: who went in, who came out, and what it cost."""

    generation: int
    """0 is the base model's own exam."""
    start: Checkpoint
    """The checkpoint that wrote the traces."""
    candidate: Checkpoint
    score: Score
    """The candidate's."""
    kept: Checkpoint
    """The champion from here on: the candidate, or the one before it."""
    kept_score: Score
    why: str
    """The gate's reason."""
    counts: Mapping[str, int]
    """`sampled`, `verified`, `accepted`, `distinct`, `trained_on`."""
    outcomes: Mapping[str, int]
    """Verdicts on the sampled traces, by outcome."""
    drops: Mapping[str, int]
    """Traces that selection left out, by reason."""
    seconds: Mapping[str, float]
    """Wall time by stage: `sample` (verifying included: they run as one stream), `select`, `train`, `examine`."""
    tokens: Mapping[str, int]
    """Tokens by stage: `sample`, `train`, `examine`."""
