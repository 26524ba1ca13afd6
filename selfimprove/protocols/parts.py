"""The parts that a user may replace.

Parts must be picklable: they hold settings, not connections. `open()` loads what is heavy, on the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from selfimprove.protocols.confinement import Confinement
from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import (
    AcceptedTrace,
    AnnotatedTrace,
    Checkpoint,
    Decision,
    GenerationReport,
    Grade,
    Message,
    Outcome,
    Problem,
    Request,
    RolloutRequest,
    Score,
    Selection,
    Trace,
    TrainingStep,
    Tries,
    Verdict,
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
class Verifier(Protocol):
    """Tells right answers from wrong ones.

    It may fail or hang on an answer: it runs in a confined process that is killed at its deadline. Inherit from this class
    (`class MyVerifier(Verifier)`) to get its defaults.
    """

    name: str
    version: str
    """Change it whenever the verdicts change: `selfimprove reverify` compares versions."""

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the problem's reference answer. If so, traces of a problem without one are `unparseable`."""
        return True

    @property
    def confinement(self) -> Confinement:
        """How its process is confined, and what it needs besides computing."""
        return Confinement()

    @property
    def concurrency(self) -> int | None:
        """Answers that each copy verifies at once, in as many processes; None: one for each CPU. Set it for a verifier that waits for a server."""
        return None

    @property
    def longest_wait(self) -> float:
        """Seconds that it may wait for a server on one answer; its deadline is that much later."""
        return 0.0

    def prepare(self) -> None:
        """Load what is slow to import; called once, outside the deadline and the confinement.

        Leave no threads running: workers are forked from this process.
        """
        return None

    def verify(self, problem: Problem, answer: str) -> Outcome | Grade:
        """Whether `answer`, the text after the thinking, solves the problem; a `Grade` gives partial credit.

        Any exception is a `crash` of this answer, but `errors.Unavailable` ends the run: a server that it asks would answer nothing else either.
        """
        ...


class OpenVerifiers(Protocol):
    """A loaded verifier, ready for traces."""

    def verify(self, pairs: Sequence[tuple[Problem, Trace]]) -> list[Verdict]:
        """One verdict per trace, in order."""
        ...

    def close(self) -> None:
        """Shut down for good."""
        ...


@runtime_checkable
class Verifiers(WorkerPart, Protocol):
    """A verifier with its deadline, opened where answers are verified: `verification.pool.VerifierPool`."""

    @property
    def devices(self) -> int:
        """None: verifying computes on CPUs."""
        return 0

    def open(self) -> OpenVerifiers:
        """Load the verifier; called on the worker."""
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


@runtime_checkable
class Mixture(Protocol):
    """Collects the rows of one training from the accepted traces of this and earlier generations."""

    def rows(self, accepted: Sequence[Sequence[AcceptedTrace]], seed: int) -> list[AcceptedTrace]:
        """The rows to train on. `accepted` has one sequence per generation, oldest first."""
        ...


@runtime_checkable
class Control(Protocol):
    """Other rows in place of those that were trained on: for as many steps and evaluated alike, they show what the gain comes from."""

    name: str
    """Name of its folder in `baselines/`, and of its figures."""
    thinks: bool = True
    """Whether its rows hold thinking, so that its model's answers are as long as the champion's."""

    def rows(
        self,
        trained_on: Sequence[AcceptedTrace],
        sampled: Callable[[int], Sequence[AcceptedTrace]],
        problems: Mapping[str, Problem],
        seed: int,
    ) -> list[AcceptedTrace]:
        """The rows of one training.

        Args:
            trained_on: What the candidate was trained on.
            sampled: All traces of a generation as rows, whatever their verdict.
            problems: Problems to learn from, by id.
            seed: Of every draw.
        """
        ...


class OpenTrainer(Protocol):
    """A trainer on its worker. Inherit from it to get the defaults of a trainer that takes rows of any length and reads no tokens of the sampler."""

    def train(self, start: Checkpoint, rows: Sequence[Any], into: Path, seed: int) -> Iterator[TrainingStep | RolloutRequest]:
        """Train `start`; when the iterator ends, the folder `into` holds the new model with its tokenizer and chat template.

        `rows` are accepted traces for `Workflow.trainer`, pairs for `Workflow.preference_pairs`, and prompts for `Workflow.reinforcement`. Rows that
        do not fit are left out. Only an `OpenReinforcer` yields requests for rollouts.
        """
        ...

    def fitting(self, start: Checkpoint, rows: Sequence[Any]) -> list[int]:
        """The places of the rows that are short enough to train on, in order. UserError if none is."""
        return list(range(len(rows)))

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Show before the first step that training reads the tokens that sampling wrote; return how many sequences were compared.

        `rows` come with the traces they were made of; `asked` are chats in the form of the rows' prompts, with traces sampled from them.
        UserError if the tokens differ.
        """
        return 0

    def close(self) -> None:
        """End."""
        return None


@runtime_checkable
class Trainer(WorkerPart, Protocol):
    """Makes the next checkpoint."""

    def open(self) -> OpenTrainer:
        """Load the libraries; called on the worker."""
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
