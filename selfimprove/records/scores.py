"""What a checkpoint scores: on the evaluation and the test, by level, by further verifiers and prompts, and by guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from selfimprove.records.ranges import Count, Finite, Positive, Share


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one evaluation of a checkpoint."""

    checkpoint_id: str
    problems: Count
    pass_at_1: Share
    """Share of problems solved by one sample; with several samples, the mean over them."""
    interval: tuple[Finite, Finite]
    """95 % interval of `pass_at_1` over problems."""
    pass_at_k: Mapping[int, Share]
    """Chance that at least one of k samples is correct, by k."""
    majority_at_k: Mapping[int, Share]
    """Share of problems whose most frequent answer among the first k samples is correct, by k."""
    outcomes: Mapping[str, Count]
    """Traces by outcome."""
    tokens: Count
    """Tokens sampled in the evaluation."""
    solved: Mapping[str, tuple[Count, Count]] = field(default_factory=dict)
    """Correct samples and all samples of each problem, by its id; paired tests and the ledger compare them."""
    pass_at_k_interval: Mapping[int, tuple[Finite, Finite]] = field(default_factory=dict)
    """95 % interval of each pass@k over problems."""
    majority_at_k_interval: Mapping[int, tuple[Finite, Finite]] = field(default_factory=dict)
    """95 % interval of each majority@k over problems."""

    @property
    def undecided(self) -> float:
        """Share of the evaluation's traces without a verdict: `timeout` or `crash`."""
        return (self.outcomes.get("timeout", 0) + self.outcomes.get("crash", 0)) / max(1, sum(self.outcomes.values()))


@dataclass(frozen=True, slots=True)
class LevelScore:
    """The part of an evaluation on the problems of one level."""

    problems: Positive
    pass_at_1: Share
    interval: tuple[Finite, Finite]
    """95 % interval of `pass_at_1` over problems."""


@dataclass(frozen=True, slots=True)
class FurtherScore:
    """What a further verifier says about the traces of one evaluation."""

    verifier: str
    """Name of the verifier."""
    version: str
    score: Score


@dataclass(frozen=True, slots=True)
class PromptScores:
    """What base model and champion score on the evaluation problems under a further prompt."""

    prompter: str
    """Its name, with a number where several prompters have the same class."""
    folder: str
    """Name of its folder in `further-prompts/`."""
    base: Score
    champion: Score


@dataclass(frozen=True, slots=True)
class GuardLoss:
    """What a candidate lost against the base model on the problems of a guard, paired problem by problem."""

    loss: Finite
    """Mean over problems of the base model's solve rate minus the candidate's; negative where the candidate gained."""
    low: Finite
    """Lower end of the 90 % interval of `loss`: the true one is above it with 95 % confidence."""
    high: Finite
    """Upper end of that interval."""
    p: Share
    """Probability of at least this loss if the candidate were no worse, one-sided."""
    test: str
    """`McNemar exact`, or `paired bootstrap` if a problem has several samples."""
    margin: Share
    """Largest loss that the guard accepts."""
    refuses: bool
    """Whether the guard refuses the candidate."""


@dataclass(frozen=True, slots=True)
class GuardScore:
    """One guard's evaluation of a checkpoint."""

    score: Score
    loss: GuardLoss | None = None
    """None for the base model."""
