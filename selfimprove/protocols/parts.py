"""The parts that a user may replace.

Parts must be picklable: they hold settings, not connections. `open()` loads what is heavy, on the worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import (
    AnnotatedTrace,
    Checkpoint,
    Decision,
    GenerationReport,
    Message,
    Problem,
    Request,
    Score,
    Selection,
    Trace,
    Tries,
)


@runtime_checkable
class ProblemSource(Protocol):
    """A source of problems."""

    def load(self) -> Sequence[Problem]:
        """All problems, in the same order every time, with unique ids and questions."""
        ...


@runtime_checkable
class Prompter(Protocol):
    """Turns a problem into a chat."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The chat, which ends with the question."""
        ...


class OpenSampler(Protocol):
    """A sampler on its worker, warm for the whole run."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        """One trace of this checkpoint for every request, in batches as they finish.

        Weights are reloaded in place after another checkpoint. An empty batch says that an engine is being started.
        """
        ...

    def rest(self, same_weights: bool = False) -> None:
        """Free the GPU for another part; the next `sample` wakes it. `same_weights` says that it will be of the same checkpoint."""
        ...

    def close(self) -> None:
        """End, with every process that it started."""
        ...


@runtime_checkable
class Sampler(WorkerPart, Protocol):
    """Samples traces from a checkpoint."""

    @property
    def sequences(self) -> int | None:
        """Requests that each copy works on at once; each is kept supplied with twice as many. None: its open form says so, by this method's name."""
        return 256

    @property
    def gives_rollouts(self) -> bool:
        """Whether it can sample from a model while that is trained: its open form is an `OpenRolloutSampler`."""
        return False

    def open(self) -> OpenSampler:
        """Start the engine; called on the worker."""
        ...


@runtime_checkable
class Allocator(Protocol):
    """Decides how many traces of each problem are sampled, wave by wave."""

    def allot(self, tries: Sequence[Tries], n: int) -> Sequence[int] | None:
        """Number of further traces of each problem in the next wave; None if no wave follows, whatever the pending verdicts.

        Must be a pure function: a continued run calls it again. The sampler holds the next wave while it samples one, so `tries` lacks the verdicts
        of the last wave. An empty wave waits for them; if none are pending, it ends the sampling.

        Args:
            tries: The problems of the generation, in the order in which they were drawn.
            n: The mean number of traces per problem that may be sampled: `n` of `Workflow.sampling`.
        """
        ...


@runtime_checkable
class Selector(Protocol):
    """Chooses which traces are good enough to train on. Inherit from this class (`class MySelector(Selector)`) to get its defaults."""

    @property
    def needs_reference(self) -> bool:
        """Whether training problems need a reference answer. False for a selector that compares all traces of a problem with each other."""
        return True

    @property
    def needs_step_rewards(self) -> bool:
        """Whether it looks at the rewards of thoughts, which take `Workflow.process_reward`."""
        return False

    @property
    def max_tokens(self) -> int | None:
        """Tokens of the longest output that it accepts; None: any length."""
        return None

    def select(self, judged: Iterable[AnnotatedTrace], prompts: Mapping[str, tuple[Message, ...]], generation: int) -> Selection:
        """Accepted traces and counted drops. `prompts` maps a problem's id to the prompt that training will show (the bare question)."""
        ...


class OpenStepScorer(Protocol):
    """A step scorer on its worker."""

    def score(self, asked: Sequence[tuple[tuple[Message, ...], tuple[str, ...]]]) -> list[tuple[float, ...]]:
        """For each chat and its thoughts so far: the probability, after each thought, that the answer will be right."""
        ...

    def close(self) -> None:
        """End."""
        ...


@runtime_checkable
class StepScorer(WorkerPart, Protocol):
    """Scores thoughts: `process_reward.scoring.RewardModel`."""

    def open(self) -> OpenStepScorer:
        """Load the model; called on the worker."""
        ...


@runtime_checkable
class Gate(Protocol):
    """Decides whether a candidate becomes the champion."""

    def decide(self, champion: Score, candidate: Score) -> Decision:
        """Both scores are from the same evaluation."""
        ...


@runtime_checkable
class Stop(Protocol):
    """Decides whether to stop before the last generation."""

    def reason(self, reports: Sequence[GenerationReport]) -> str | None:
        """Reason to stop after the last of these generations, in a few words; None to continue."""
        ...
