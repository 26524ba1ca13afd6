"""The evaluation with thinking on and off: as data for programs, as a table, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from selfimprove.records import GenerationReport, Score
from selfimprove.reports.scores import gain, gain_line, written


def switched(report: GenerationReport) -> dict[str, Any] | None:
    """What a generation's candidate scores with thinking on and off, and the tokens of an answer; None where it was not evaluated with thinking off.

    `difference` is that of thinking off against thinking on, paired by problem.
    """
    if report.thinking_off is None:
        return None
    return {"on": _scored(report.score), "off": _scored(report.thinking_off), "difference": gain(report.score, report.thinking_off)}


def _scored(score: Score) -> dict[str, Any]:
    return {
        "pass_at_1": score.pass_at_1,
        "interval": list(score.interval),
        "tokens": score.tokens / max(1, sum(score.outcomes.values())),
        "evaluation_outcomes": dict(score.outcomes),
    }


def evaluated(generations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The generations that were evaluated with thinking off, too."""
    return [row for row in generations if row.get("thinking")]


def table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """pass@1 of each generation with thinking on and off, and the tokens of an answer; fits 80 columns."""
    found = Table(title=Text("pass@1 by thinking"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    found.add_column("generation", min_width=len("answer-only"))
    for column in ("thinking on", "tokens", "thinking off", "tokens"):
        found.add_column(column, justify="right")
    for row in evaluated(generations):
        cells = [cell for way in ("on", "off") for cell in (" ".join(written(row["thinking"][way])), f"{row['thinking'][way]['tokens']:.1f}")]
        found.add_row(str(row["generation"] or "base"), *cells)
    return found


def lines(row: Mapping[str, Any]) -> Iterator[str]:
    """How many rows of a generation were trained on without their thinking, and what answering at once costs its candidate."""
    if "direct" in row:
        yield f"{row['direct']:,} of {row['trained_on']:,} rows were trained on without their thinking"
    if row["generation"] and (found := row.get("thinking")):
        yield f"thinking off against on: {gain_line(found['difference'])}; {found['off']['tokens']:.1f} tokens, not {found['on']['tokens']:.1f}"


def line(figures: Mapping[str, Any]) -> str | None:
    """The champion with thinking on and off, in one sentence; None where it was not evaluated so."""
    kept = next((row for row in evaluated(figures["generations"]) if row["generation"] == figures["kept_generation"]), None)
    if kept is None:
        return None
    on, off = (f"{' ('.join(written(kept['thinking'][way]))}) at {kept['thinking'][way]['tokens']:.1f} tokens per answer" for way in ("on", "off"))
    return f"pass@1 with thinking: {on}; after an empty block of thinking: {off}"
