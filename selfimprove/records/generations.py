"""Results of a generation: training steps, checkpoint, decision, coverage, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from selfimprove.records.figures import (
    AskedAgainFigures,
    DifficultyFigures,
    Drift,
    FirstAttempts,
    GenerationCounts,
    Stage,
    ThinkingFigures,
)
from selfimprove.records.proposals import ProposalFigures
from selfimprove.records.ranges import Amount, Count, Positive
from selfimprove.records.scores import GuardScore, LevelScore, Score
from selfimprove.records.traces import Usage


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimizer step."""

    step: int
    steps: int
    """Number of steps in the training."""
    loss: float
    """Mean cross-entropy over the completion tokens of the step, in nats; the trainer's own loss for pairs and for reinforcement."""
    learning_rate: float
    tokens: int
    """Tokens trained on up to and including this step, with prompts and without padding."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Further measurements of the trainer, by name: `margin` of pairs, `reward` of reinforcement, …"""


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
class Decision:
    """A gate's decision on a candidate."""

    promote: bool
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Changes that one evaluation made to the coverage ledger; problems by id."""

    newly_solved: tuple[str, ...]
    """Problems solved for the first time in the run."""
    forgotten: tuple[str, ...]
    """Problems that the previous champion solved and no sample solves now."""
    never_solved: tuple[str, ...]
    """Problems that no evaluation has solved so far, including this one."""
    trend: str
    """`expansion`: pass@k rose; `sharpening`: only pass@1 rose; `contraction`: either fell; `plateau`: neither moved by more than chance."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How often a problem was solved in one generation."""

    problem_id: str
    set: str
    """`train`: sampled for this generation's training; `eval`: evaluated with this generation's candidate."""
    generation: Count
    right: Count
    samples: Positive


@dataclass(frozen=True, slots=True)
class TriedCandidate:
    """One of two candidates of a generation, and what the gate and the guards say of it."""

    checkpoint: Checkpoint
    score: Score
    promote: bool
    """Whether gate and guards let it through."""
    why: str
    """The reason of the gate, and of each guard that refuses it."""
    guards: Mapping[str, GuardScore] = field(default_factory=dict)
    drift: Drift | None = None
    first_attempts: FirstAttempts | None = None
    thinking_off: Score | None = None
    """Score after an empty block of thinking; None without `direct_share`."""


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """One generation in figures: its models, what they scored, and what it cost."""

    generation: Count
    """Number of the generation; 0 is the base model's evaluation."""
    start: Checkpoint
    """The previous champion, which wrote the traces unless a teacher did or, with `overlap`, the champion before it."""
    candidate: Checkpoint
    score: Score
    """Score of the candidate."""
    kept: Checkpoint
    """The champion from now on: the candidate or the previous champion."""
    kept_score: Score
    why: str
    """The reason of the gate, and of each guard that refuses the candidate."""
    outcomes: Mapping[str, Count]
    """Verdicts on the sampled traces, by outcome."""
    drops: Mapping[str, Count]
    """Traces that selection dropped, and rows and pairs too long for their trainer, by reason."""
    seconds: Mapping[Stage, Amount]
    """Wall time by stage."""
    tokens: Mapping[Stage, Count]
    """Tokens by stage: sampled, trained on, sampled in the evaluation, by guards and with thinking off."""
    counts: GenerationCounts | None = None
    """None for the base model, as are the figures below."""
    saved_tokens: int | None = None
    """Tokens that a search saved: by how much the traces it gave up are shorter than the others on average. None without a search."""
    coverage: Coverage | None = None
    """What the candidate's evaluation changed."""
    level: int | None = None
    """Level that the sampled problems are of, from 1; None without levels, and where a round has problems of its own."""
    levels: Mapping[int, LevelScore] = field(default_factory=dict)
    """Scores of the candidate on each level of the evaluation, also of the base model; empty without levels."""
    guards: Mapping[str, GuardScore] = field(default_factory=dict)
    """Evaluations of the candidate by the workflow's guards, by name; also of the base model."""
    thinking_off: Score | None = None
    """Score of the candidate after an empty block of thinking, also of the base model; None without `direct_share`."""
    anatomy: ThinkingFigures | None = None
    """Thoughts and behaviours of the sampled traces."""
    rationalization: AskedAgainFigures | None = None
    """Problems that were asked again with a hint; None where none was."""
    retry: AskedAgainFigures | None = None
    """Problems that were asked again after a critique; None where none was."""
    proposed: ProposalFigures | None = None
    """Questions that the champion proposed for this generation; None without `proposer`, and before the first generation that has them."""
    first_attempts: FirstAttempts | None = None
    """What the traces of the evaluation do about their first attempt, the base model's too; None without `reflection`."""
    difficulty: DifficultyFigures | None = None
    """None where solve rates were not predicted."""
    spent: Usage | None = None
    """Usage that an endpoint reported for the sampled traces, without failed attempts and traces lost to a stop; None without an endpoint."""

    drift: Drift | None = None
    """How a fixed text reads to the candidate, and how far it is from the base model there; None where that was not measured."""
    tried: Mapping[str, TriedCandidate] = field(default_factory=dict)
    """With `average`, both candidates: `trained`, and `averaged` with the start. `candidate` is the better of those that gate and guards let
    through, or of both where they let none through. Empty without it."""
    gpu_memory_left: Mapping[Stage, Count] = field(default_factory=dict)
    """Bytes of GPU memory that torch still held in the process of a stage after it, by stage; a stage that used no GPU is absent. vLLM is not
    counted: asleep, it holds addresses without memory."""

    @property
    def samples_per_problem(self) -> float:
        """Mean number of samples of the problems that were sampled; 0 without any."""
        return self.counts.sampled / self.counts.problems if self.counts and self.counts.problems else 0.0

    @property
    def distinct_per_1000_tokens(self) -> float:
        """Distinct accepted traces for every 1,000 sampled tokens: the yield of sampling."""
        return 1000 * self.counts.distinct / max(1, self.tokens.get(Stage.SAMPLE, 0)) if self.counts else 0.0
