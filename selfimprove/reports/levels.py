"""Levels of problems: as data for programs, as a table, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from selfimprove.records import GenerationReport


def leveled(report: GenerationReport) -> dict[str, Any]:
    """`level`, which the generation's problems are of, and `levels`, what its candidate scores on each; None and empty without levels."""
    return {"level": report.level, "levels": {str(level): {**asdict(one), "interval": list(one.interval)} for level, one in report.levels.items()}}


def evaluated(generations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the evaluation has levels."""
    return any(row["levels"] for row in generations)


def table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """pass@1 of each generation by level, and the level that it learnt from, or `own` problems; fits 80 columns with up to ten levels."""
    found = Table(title=Text("pass@1 by level"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    found.add_column("generation", min_width=len("answer-only"))
    levels = list(dict.fromkeys(level for row in generations for level in row["levels"]))
    for column in ("learnt from", *levels):
        found.add_column(column, justify="right")
    other = "own" if any(row["level"] for row in generations) else ""
    for row in generations:
        learnt_from = f"level {row['level']}" if row["level"] else other if row["generation"] else ""
        rates = (f"{row['levels'][level]['pass_at_1']:.2f}" if level in row["levels"] else "" for level in levels)
        found.add_row(str(row["generation"] or "base"), learnt_from, *rates)
    return found


def lines(row: Mapping[str, Any]) -> Iterator[str]:
    """The level of a generation, with the interval of its candidate there."""
    if (found := row["levels"].get(str(row["level"]))) is not None:
        low, high = found["interval"]
        told = f"level {row['level']}: the candidate solves {found['pass_at_1']:.3f} ({low:.2f}–{high:.2f})"
        yield f"{told} of its {found['problems']} evaluation problems"
