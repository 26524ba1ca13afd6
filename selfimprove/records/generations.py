"""What comes of a generation: steps, checkpoint, score, decision, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from selfimprove.records.figures import DifficultyFigures, GenerationCounts, RationalizationFigures, Stage, ThinkingFigures
from selfimprove.records.traces import Usage


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimizer step, as it happens."""

    step: int
    steps: int
    """How many there will be."""
    loss: float
    """Mean cross-entropy over the completion tokens of the step, in nats; for pairs and for reinforcement, the loss of their kind."""
    learning_rate: float
    tokens: int
    """Tokens trained on up to and with this step, prompts included, padding not."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What else the trainer measured, by name: `margin` of pairs, `reward` of reinforcement, …"""


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
    """How a checkpoint did in one evaluation."""

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
    """Tokens sampled in the evaluation."""
    solved: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Right samples and all samples of each problem, by its id: what paired tests and the ledger compare."""
    pass_at_k_interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of each pass@k over problems."""
    majority_at_k_interval: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of each majority@k over problems."""

    @property
    def undecided(self) -> float:
        """Share of the evaluation's traces on which no verdict was reached: `timeout` or `crash`."""
        return (self.outcomes.get("timeout", 0) + self.outcomes.get("crash", 0)) / max(1, sum(self.outcomes.values()))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate says of a candidate."""

    promote: bool
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one evaluation changed in the coverage ledger; problems by id."""

    newly_solved: tuple[str, ...]
    """Solved for the first time in any evaluation of the run."""
    forgotten: tuple[str, ...]
    """Solved by the champion before, and now in none of the samples."""
    never_solved: tuple[str, ...]
    """In no evaluation so far, this one included."""
    trend: str
    """`expansion`: pass@k up; `sharpening`: pass@1 up, pass@k not; `contraction`: either down; `plateau`: neither moved by more than chance."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How often one problem was solved in one generation."""

    problem_id: str
    set: str
    """`train`: in sampling, by the champion before this generation; `eval`: in the evaluation, by this generation's candidate."""
    generation: int
    right: int
    samples: int


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """One generation in figures: who went in, who came out, and what it cost."""

    generation: int
    """0 is the base model's own evaluation."""
    start: Checkpoint
    """The champion before, which wrote the traces unless a teacher did."""
    candidate: Checkpoint
    score: Score
    """The candidate's."""
    kept: Checkpoint
    """The champion from here on: the candidate, or the one before it."""
    kept_score: Score
    why: str
    """The gate's reason."""
    outcomes: Mapping[str, int]
    """Verdicts on the sampled traces, by outcome."""
    drops: Mapping[str, int]
    """Traces that selection left out, by reason."""
    seconds: Mapping[Stage, float]
    """Wall time by stage."""
    tokens: Mapping[Stage, int]
    """Tokens by stage: sampled, trained on, sampled in the evaluation."""
    counts: GenerationCounts | None = None
    """None for the base model, as are the figures below."""
    saved_tokens: int | None = None
    """Tokens that a search saved: by how much the traces it gave up are shorter than the others on average. None without a search."""
    coverage: Coverage | None = None
    """What the candidate's evaluation changed."""
    anatomy: ThinkingFigures | None = None
    """Thoughts and behaviours of the sampled traces."""
    rationalization: RationalizationFigures | None = None
    """None where no problem was asked again."""
    difficulty: DifficultyFigures | None = None
    """None where solve rates were not predicted."""
    spent: Usage | None = None
    """Usage that an endpoint reported for the sampled traces, without failed attempts and traces lost to a stop; None without an endpoint."""

    @property
    def samples_per_problem(self) -> float:
        """Mean number of samples of the problems that were sampled; 0 without any."""
        return self.counts.sampled / self.counts.problems if self.counts and self.counts.problems else 0.0

    @property
    def distinct_per_1000_tokens(self) -> float:
        """Distinct accepted traces for every 1,000 sampled tokens: the yield of sampling."""
        return 1000 * self.counts.distinct / max(1, self.tokens.get(Stage.SAMPLE, 0)) if self.counts else 0.0
