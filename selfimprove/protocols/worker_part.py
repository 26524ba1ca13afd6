"""Parts that are opened on a worker, and what they ask of the machine there."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic.dataclasses import dataclass

from selfimprove.records.numbers import NonNegativeFloat, PositiveInt

ALONE = "SELFIMPROVE_GPU_ALONE"
"""Environment variable of a worker whose GPUs no other part uses while it is open. Without it, the part hands its GPU over between its calls."""
ROLE = "SELFIMPROVE_ROLE"
"""Environment variable of a worker with a GPU: what it is there for."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Resources:
    """What each copy of a part reserves, and the number of copies."""

    copies: PositiveInt = 1
    """Workers of this part, each in its own process; work is spread over them."""
    cpus: NonNegativeFloat = 0.5
    """CPUs that the scheduler counts per copy. Not a limit on use: sampler and trainer take turns, so together they reserve one core."""
    gpus: NonNegativeFloat | None = None
    """GPUs per copy, or of each worker that the part starts. None: as many as the part is spread over (`tensor_parallel_size` of an engine), or
    half of the only GPU; none for a part that does not compute on GPUs."""


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
        """GPUs that each copy is spread over; 0 for a part that does not compute on GPUs."""
        return 1

    @property
    def starts_workers(self) -> bool:
        """Whether it computes in workers that it starts on Ray itself, one on each of its `devices`, for as long as it works.

        Its own process then reserves no GPU, and `resources.gpus` is what each worker reserves.
        """
        return False

    def environment(self) -> dict[str, str]:
        """Environment variables of the worker's process, set before `open`."""
        return {}

    def open(self) -> Any:
        """Load what is heavy; called on the worker. The result has a method `close()`."""
        ...
