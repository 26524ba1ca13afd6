"""When more generations are not worth it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.records import GenerationReport


@dataclass(frozen=True, config={"extra": "forbid"})
class StopEarly:
    """Ends a run after generations that bring nothing."""

    patience: PositiveInt | None = 2
    """So many refused candidates in a row end the run: a plateau; None waits for ever."""
    on_contraction: bool = True
    """Whether a candidate that solves clearly less than the champion ends the run at once."""

    def reason(self, reports: Sequence[GenerationReport]) -> str | None:
        """Why to stop after the last of these generations, the base model's own first; None to go on."""
        last = reports[-1]
        if self.on_contraction and last.coverage is not None and last.coverage.trend == "contraction":
            return f"generation {last.generation} is a contraction"
        refused = [report.kept.id != report.candidate.id for report in reports[1:]]
        if self.patience is not None and len(refused) >= self.patience and all(refused[-self.patience :]):
            return f"no candidate was promoted in {self.patience} generation{'s' if self.patience > 1 else ''}: a plateau"
        return None
