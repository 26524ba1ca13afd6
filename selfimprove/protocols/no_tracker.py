"""A tracker that tells nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep


@dataclass(frozen=True, config={"extra": "forbid"})
class NoTracker:
    """Every call does nothing: the run folder alone tells of the run."""

    def start(self, name: str, settings: Mapping[str, Any], folder: Path) -> str | None:
        """There is nowhere to look: None."""
        return None

    def training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Nothing is told."""

    def record(self, report: GenerationReport, folder: Path) -> None:
        """Nothing is told."""

    def baseline(self, name: str, score: Score) -> None:
        """Nothing is told."""

    def measured(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path], folder: Path) -> None:
        """Nothing is told."""

    def finish(self, status: str) -> None:
        """Nothing is told."""
