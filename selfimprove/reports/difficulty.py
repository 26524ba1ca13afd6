"""How well solve rates were predicted, and what budgets by difficulty gain, as text and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from selfimprove.terminal.safe_text import plain_line


def lines(figures: Mapping[str, float]) -> Iterator[str]:
    """One line for each of the measures in `GenerationReport.difficulty`."""
    for prefix, name in (("", "difficulty, out of fold"), ("forecast_", "difficulty, forecast")):
        if f"{prefix}brier" in figures:
            yield f"{name}: {_quality({key: figures.get(prefix + key) for key in ('brier', 'base_brier', 'auroc', 'calibration_error')})}"


def _quality(one: Mapping[str, Any]) -> str:
    auroc = "" if one["auroc"] is None else f", AUROC {one['auroc']:.2f}"
    return f"Brier {one['brier']:.3f} (base rate {one['base_brier']:.3f}){auroc}, calibration error {one['calibration_error']:.3f}"


def table(result: Mapping[str, Any]) -> Group:
    """The rules in the `result.json` of thinking-by-difficulty, each compared with one budget for all at equal mean tokens; fits 80 columns."""
    quality = Text(f"evaluation problems: {_quality(result['evaluation'])}")
    return Group(*(part for kind, several in result["differences"].items() for part in (_rules(kind, several), Text())), quality)


def _rules(kind: str, several: Sequence[Mapping[str, Any]]) -> Table:
    rules = Table(title=Text(plain_line(kind)), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    rules.add_column("tokens, easy to\nhard (mean)", min_width=16)
    for column in ("mean\ntokens", "accuracy", "one budget\nfor all", "difference", "95 %\ninterval"):
        rules.add_column(column, justify="right")
    for one in several:
        figures = (f"{one['accuracy']:.3f}", f"{one['one_for_all']:.3f}", f"{one['difference']:+.3f}", f"{one['low']:+.2f} to {one['high']:+.2f}")
        rules.add_row(Text(plain_line(one["setting"])), f"{one['thinking_tokens']:.1f}", *figures)
    return rules
