"""The parts of reinforcement: a trainer that learns from traces of the model in training, and a sampler that writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from selfimprove.protocols.parts import OpenSampler
from selfimprove.protocols.training import OpenTrainer
from selfimprove.protocols.verifying import Verifiers
from selfimprove.protocols.worker_part import WorkerPart
from selfimprove.records import Checkpoint, JudgedTrace, Request, Rollout


class OpenRolloutSampler(OpenSampler, Protocol):
    """A sampler on its worker whose traces a training can learn from."""

    def rollouts(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Rollout]]:
        """As `sample`, with the log-probability of every token."""
        ...


class OpenReinforcer(OpenTrainer, Protocol):
    """A trainer on its worker that learns from rollouts of the workflow's sampler. After each `RolloutRequest` that `train` yields, it waits."""

    def answer(self, number: int, rollouts: Sequence[JudgedTrace]) -> None:
        """Take the verified rollouts of the request with this number, in the order of its requests.

        An answer that no training waits for is ignored: the worker may have been replaced since the request.
        """
        ...


@runtime_checkable
class Reinforcer(WorkerPart, Protocol):
    """Makes the next checkpoint by reinforcement: it has traces of the model in training verified and makes the right ones likelier. A dataclass.

    The `rows` of its open trainer are prompts.
    """

    @property
    def needs_rollouts(self) -> bool:
        """Whether the workflow's sampler writes the traces, for an `OpenReinforcer`; if not, it samples and verifies them itself."""
        return False

    @property
    def verifiers(self) -> Verifiers | None:
        """Verifiers of the traces; None for the workflow's."""
        ...

    def open(self) -> OpenTrainer:
        """Load the libraries; called on the worker."""
        ...
