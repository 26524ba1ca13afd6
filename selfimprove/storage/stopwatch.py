"""How long the stages of a generation take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfimprove.records import Stage
from selfimprove.records.ranges import Amount
from selfimprove.storage.files import read_json, write_json


class Stopwatch:
    """Wall time by stage, kept in a file, so that a stopped and continued stage counts in full; and what stages left on a GPU."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.gpu_memory_left: dict[Stage, int] = {}
        """Bytes of GPU memory that a stage's process held after it. Stages that this process did not see, or that used no GPU, are absent."""
        self.seconds: dict[Stage, float] = read_json(file, dict[Stage, Amount]) if file.exists() else {}

    def note_left(self, stage: Stage, left: int | None) -> None:
        """Keep what the stage left on a GPU; None: it used none."""
        if left is not None:
            self.gpu_memory_left[stage] = left

    @contextmanager
    def time(self, stage: Stage) -> Iterator[None]:
        """Add the time of the block to the stage, even when the block fails."""
        import time

        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - start
            write_json(self._file, self.seconds, hashed=False)
