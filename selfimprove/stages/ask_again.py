"""Ask again: what a further attempt at a generation's unsolved problems came to, and what its rows are worth."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from selfimprove.evaluation.paired import compare
from selfimprove.records import AcceptedTrace, AskedAgainFigures, Checkpoint, Score, Selection
from selfimprove.selection.direct import source_id
from selfimprove.selection.replay import GENERAL
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.general import weighted
from selfimprove.stages.train import train


@dataclass(frozen=True)
class AskedAgain:
    """Result of asking a generation's unsolved problems again."""

    origin: str = ""
    """Of the rows, and prefix of the reasons for which traces are dropped."""
    selection: Selection = field(default_factory=lambda: Selection((), {}))
    problems: int = 0
    """Problems that were asked again."""
    sampled: int = 0
    share: float = 1.0
    """Maximum share of the rows among a generation's accepted ones."""
    seed: int = 0

    def beside(self, sampled: Selection) -> Selection:
        """The selection with these rows added; a seeded draw limits them to their share."""
        rows = self.selection.accepted
        most = len(rows)
        if self.share < 1:
            most = min(most, int(len(sampled.accepted) * self.share / (1 - self.share)))
        kept = random.Random(self.seed).sample(rows, most)
        drops = {**sampled.drops, **self.selection.drops}
        if most < len(rows):
            drops[f"{self.origin}: over share"] = len(rows) - most
        return Selection(tuple(sorted((*sampled.accepted, *kept), key=lambda row: row.trace_id)), drops)

    def figures(self, trained_on: Sequence[AcceptedTrace]) -> AskedAgainFigures | None:
        """Figures for the report; None where no problem was asked again."""
        if not self.problems:
            return None
        rows = sum(row.origin.startswith(self.origin) for row in trained_on)
        return AskedAgainFigures(self.problems, self.sampled, len(self.selection.accepted), rows)


def ablate(
    context: RunContext,
    figures: AskedAgainFigures | None,
    origin: str,
    start: Checkpoint,
    rows: Sequence[AcceptedTrace],
    result: Score,
    folder: Path,
    number: int,
) -> AskedAgainFigures | None:
    """The figures with what the rows of this origin add to pass@1.

    The same training without these rows, from the same start, takes the same evaluation. Unchanged where there are no such rows, or no others.
    """
    concerned = {row.trace_id for row in rows if row.origin.startswith(origin)}
    others = [row for row in rows if source_id(row) not in concerned]
    if figures is None or len(others) == len(rows) or all(row.origin == GENERAL for row in others):
        return figures
    label, place, name = f"generation {number} without {origin} rows", folder / f"without-{origin}", f"generation-{number}-without-{origin}"
    candidate, _ = train(context, start, weighted(context, others), place, name, f"{label}, training", generation=number)
    without = evaluate(context, candidate, place / "evaluation", f"{label}, evaluation")
    found = compare(without, result)
    return replace(figures, without=without.pass_at_1, value=found.difference, value_low=found.low, value_high=found.high)
