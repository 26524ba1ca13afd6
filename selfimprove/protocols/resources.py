"""What a part asks of the machine it runs on."""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveInt
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config={"extra": "forbid"})
class Resources:
    """What each copy of a part reserves, and how many copies there are. A part states it in a field `resources`."""

    copies: PositiveInt = 1
    """Workers of this part, each in a process of its own; work is spread over them."""
    cpus: NonNegativeFloat = 0.5
    """What the scheduler counts, no limit on use: sampler and trainer take turns, so together they reserve one core."""
    gpus: NonNegativeFloat | None = None
    """None: as many as the part is spread over (`tensor_parallel_size` of an engine, `processes` of a trainer); where that is one, a share of what
    the cluster has: a sampler and a trainer split a single GPU."""
