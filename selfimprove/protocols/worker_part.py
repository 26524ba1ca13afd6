"""Parts that are opened on a worker, and what they ask of the machine there."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic.dataclasses import dataclass

from selfimprove.records.numbers import NonNegativeFloat, PositiveInt


@dataclass(frozen=True, config={"extra": "forbid"})
class Resources:
    """What each copy of a part reserves, and the number of copies."""

    copies: PositiveInt = 1
    """Workers of this part, each in its own process; work is spread over them."""
    cpus: NonNegativeFloat = 0.5
    """CPUs that the scheduler counts per copy. Not a limit on use: sampler and trainer take turns, so together they reserve one core."""
    gpus: NonNegativeFloat | None = None
    """GPUs per copy. None: as many as the part is spread over (`tensor_parallel_size` of an engine, `gpus` of a trainer); for a part on one GPU,
    a share of what the cluster has, so that a sampler and a trainer split a single GPU."""


class WorkerPart(Protocol):
    """A part that is opened on a worker.

    Inherit from the protocol of your part (`class MyTrainer(Trainer)`) to get these defaults, and override what differs. A dataclass field that
    overrides one needs a default: `resources: Resources = Resources(copies=2)`.
    """

    @property
    def resources(self) -> Resources:
        """What each copy reserves, and the number of copies."""
        return Resources()

    @property
    def devices(self) -> int:
        """GPUs that each copy is spread over."""
        return 1

    @property
    def own_workers(self) -> bool:
        """Whether it starts worker processes that reserve its `devices` themselves, one each and on any node, while it works, as Ray Train does.

        Otherwise its own process reserves them, all on one node, for as long as it is open.
        """
        return False

    def environment(self) -> dict[str, str]:
        """Environment variables of the worker's process, set before `open`."""
        return {}

    def open(self) -> Any:
        """Load what is heavy; called on the worker. The result has a method `close()`."""
        ...
