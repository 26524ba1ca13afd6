"""The figures that a benchmark contributes to the table of results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

MARK = "figure "
"""Prefix of a line that holds a figure as JSON."""


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    name: str
    aim: str
    """Target as shown in the table, such as `≥ 0.98`; empty if there is none."""
    measured: float
    """Median of the repeats."""
    low: float
    high: float
    repeats: int
    unit: str
    """Unit; empty for a ratio."""
    command: str
    """Command that measures it again."""
    note: str = ""
    """Conditions of the measurement, in a few words."""

    @property
    def met(self) -> bool:
        """Whether the measured value meets the target."""
        if not self.aim:
            return False
        sign, limit = self.aim.split()[:2]
        return self.measured >= float(limit.replace(",", "")) if sign == "≥" else self.measured <= float(limit.replace(",", ""))


def figure(name: str, aim: str, values: Sequence[float], command: str, unit: str = "", note: str = "") -> Figure:
    """Return the median of the values with their minimum and maximum."""
    return Figure(name, aim, statistics.median(values), min(values), max(values), len(values), unit, command, note)


def hand_on(figures: Iterable[Figure]) -> None:
    """Print the figures in the form that `python -m benchmarks` reads."""
    for one in figures:
        print(MARK + json.dumps(asdict(one), ensure_ascii=False), flush=True)


def taken(lines: Iterable[str]) -> list[Figure]:
    """Return the figures among the lines that a benchmark printed."""
    return [Figure(**json.loads(line.removeprefix(MARK))) for line in lines if line.startswith(MARK)]


def number(value: float) -> str:
    """Format with three significant digits and thousands separators."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
