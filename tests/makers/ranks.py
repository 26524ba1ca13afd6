"""Training functions for the tests of data-parallel training; a new process can import them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from selfimprove.records import TrainingStep
from selfimprove.training.world import World


def fails(which: int, world: World) -> Iterator[TrainingStep]:
    """Yield one step; then rank `which` fails and the others wait."""
    yield TrainingStep(1, 2, 0.5, 1e-4, 10, {})
    if world.rank == which:
        raise ValueError("this one fails")
    time.sleep(600)


def no_room(world: World) -> Iterator[TrainingStep]:
    """Rank 0 runs out of disk space."""
    if world.rank == 0:
        raise OSError(28, "no space left on device")
    yield from ()
