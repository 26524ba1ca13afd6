"""Which rows are trained on, and what trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import AcceptedTrace, Checkpoint, Drift, Message, Problem, RolloutRequest, Trace, TrainingStep

Rows: TypeAlias = Sequence[AcceptedTrace]


@runtime_checkable
class Mixture(Protocol):
    """Collects the rows of one training from the accepted traces of this and earlier generations."""

    def rows(self, accepted: Sequence[Rows], seed: int) -> list[AcceptedTrace]:
        """The rows to train on. `accepted` has one sequence per generation, oldest first."""
        ...


@runtime_checkable
class Control(Protocol):
    """Other rows in place of those that were trained on: for as many steps and evaluated alike, they show what the gain comes from."""

    name: str
    """Name of its folder in `baselines/`, and of its figures."""
    thinks: bool = True
    """Whether its rows hold thinking, so that its model's answers are as long as the champion's."""

    def rows(self, trained_on: Rows, sampled: Callable[[int], Rows], problems: Mapping[str, Problem], seed: int) -> list[AcceptedTrace]:
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

    def drift(self, base: Checkpoint, candidate: Checkpoint, text: str, text_hash: str) -> Iterator[int | Drift | str]:
        """Yield the number of tokens read since the last item, and at the end how the text reads to `candidate`, or why that cannot be measured.

        The default yields nothing and so leaves it to another part, which takes the trainer's place meanwhile. A trainer that has transformers loaded
        saves that start: `yield from training.drift.measure(base, candidate, text, text_hash)`.
        """
        yield from ()

    def close(self) -> None:
        """End."""
        return None


@runtime_checkable
class Trainer(WorkerPart, Protocol):
    """Makes the next checkpoint."""

    def open(self) -> OpenTrainer:
        """Load the libraries; called on the worker."""
        ...
