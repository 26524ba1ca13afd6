"""A tracker that logs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep


@dataclass(frozen=True, config={"extra": "forbid"})
class NoTracker:
    """Logs nothing: the run folder is the only account of the run."""

    def open(self, name: str, settings: Mapping[str, Any], folder: Path) -> NoTracker:
        """Return itself: it has no state."""
        return self

    def start(self) -> str | None:
        """Return None: there is nothing to look at."""
        return None

    def log_training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Do nothing."""

    def log_generation(self, report: GenerationReport, folder: Path) -> None:
        """Do nothing."""

    def log_baseline(self, name: str, score: Score) -> None:
        """Do nothing."""

    def log_figures(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""
