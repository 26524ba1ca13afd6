"""What processes of a training do in the tests: functions that a new process can import."""

from __future__ import annotations

import time
from collections.abc import Iterator

from selfimprove.records import TrainingStep
from selfimprove.training.world import World


def fails(which: int, world: World) -> Iterator[TrainingStep]:
    """One step; then this one of them fails and the others wait for it."""
    yield TrainingStep(1, 2, 0.5, 1e-4, 10, {})
    if world.rank == which:
        raise ValueError("this one fails")
    time.sleep(600)


def no_room(world: World) -> Iterator[TrainingStep]:
    """The first one cannot save."""
    if world.rank == 0:
        raise OSError(28, "no space left on device")
    yield from ()
