"""A tracker that logs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport, Score, TrainingStep


@dataclass(frozen=True, config={"extra": "forbid"})
class NoTracker:
    """No tracking: the run folder is the only record of the run."""

    def start(self, name: str, settings: Mapping[str, Any], folder: Path) -> str | None:
        """Return None: there is no link."""
        return None

    def training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Do nothing."""

    def record(self, report: GenerationReport, folder: Path) -> None:
        """Do nothing."""

    def baseline(self, name: str, score: Score) -> None:
        """Do nothing."""

    def measured(self, name: str, figures: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path], folder: Path) -> None:
        """Do nothing."""

    def finish(self, status: str) -> None:
        """Do nothing."""
