"""Decides when more generations are not worth it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport
from selfimprove.records.numbers import PositiveInt


@dataclass(frozen=True, config={"extra": "forbid"})
class StopEarly:
    """Ends a run when generations stop improving."""

    patience: PositiveInt | None = 2
    """Number of refused candidates in a row that end the run as a plateau; None: never."""
    on_contraction: bool = True
    """Whether to end the run at once when a candidate solves significantly less than the champion (a contraction)."""

    def reason(self, reports: Sequence[GenerationReport]) -> str | None:
        """Why to stop after the last of these generations, which begin with the base model's; None to continue."""
        last = reports[-1]
        if self.on_contraction and last.coverage is not None and last.coverage.trend == "contraction":
            return f"generation {last.generation} is a contraction"
        refused = [report.kept.id != report.candidate.id for report in reports[1:]]
        if self.patience is not None and len(refused) >= self.patience and all(refused[-self.patience :]):
            return f"no candidate was promoted in {self.patience} generation{'s' if self.patience > 1 else ''}: a plateau"
        return None
