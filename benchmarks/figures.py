"""What a benchmark hands on to the table of results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

MARK = "figure "
"""Begins the line that holds a figure as JSON."""


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    name: str
    aim: str
    """As the table says it: `≥ 0.98`; empty where there is none."""
    measured: float
    """The median where there are several."""
    low: float
    high: float
    repeats: int
    unit: str
    """Empty for a ratio."""
    command: str
    """That repeats it."""
    note: str = ""
    """What was measured on what, in a few words."""

    @property
    def met(self) -> bool:
        """Whether what was measured is within the aim."""
        if not self.aim:
            return False
        sign, limit = self.aim.split()[:2]
        return self.measured >= float(limit.replace(",", "")) if sign == "≥" else self.measured <= float(limit.replace(",", ""))


def figure(name: str, aim: str, values: Sequence[float], command: str, unit: str = "", note: str = "") -> Figure:
    """The median of these, with what is between the least and the most."""
    return Figure(name, aim, statistics.median(values), min(values), max(values), len(values), unit, command, note)


def hand_on(figures: Iterable[Figure]) -> None:
    """Print the figures so that `python -m benchmarks` finds them."""
    for one in figures:
        print(MARK + json.dumps(asdict(one), ensure_ascii=False), flush=True)


def taken(lines: Iterable[str]) -> list[Figure]:
    """The figures that a benchmark printed among its other lines."""
    return [Figure(**json.loads(line.removeprefix(MARK))) for line in lines if line.startswith(MARK)]
