"""Tables that compare prompters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from selfimprove.terminal.safe_text import printable


def show_ways(rows: Sequence[dict[str, Any]], against: str, console: Console) -> None:
    """Print the rows of one evaluation, then the paired comparison of each prompter with `against`; both tables fit 80 columns."""
    table = _table(f"{rows[0]['problems']} problems", "accuracy", "95 %\ninterval", "tokens per\nanswer", "unparse-\nable", "cut")
    for row in rows:
        table.add_row(printable(row["name"]), *_rate(row), f"{row['tokens']:.0f}", f"{row['unparseable']:.0%}", f"{row['cut']:.0%}")
    console.print(table)
    compared = [(row["name"], row["comparison"]) for row in rows if row["comparison"]]
    if compared:
        table = _table(f"against {printable(against)}", "difference", "90 %\ninterval", "gained", "lost", compared[0][1]["test"].replace(" ", "\n"))
        for name, found in compared:
            interval = f"{found['low']:+.2f} to {found['high']:+.2f}"
            counts = (str(found["gained"]), str(found["lost"]))
            table.add_row(printable(name), f"{found['difference']:+.3f}", interval, *counts, f"p = {found['p_better']:.3g}")
        console.print()
        console.print(table)


def show_rounds(rounds: Sequence[dict[str, Any]], console: Console) -> None:
    """Print how far each candidate got, the best first, with its accuracy and 95 % interval on all problems that it was asked."""
    table = _table("candidate", "out after\nround", "problems", "accuracy", "95 %\ninterval")
    for number, one in reversed(list(enumerate(rounds, start=1))):
        last = number == len(rounds)
        for row in sorted(one["candidates"], key=lambda row: (-row["kept"], -row["accuracy"])):
            # A candidate that was kept appears in the next round.
            if last or not row["kept"]:
                table.add_row(printable(row["name"]), "winner" if row["kept"] else str(number), str(row["problems"]), *_rate(row))
    console.print(table)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _rate(row: dict[str, Any]) -> tuple[str, str]:
    low, high = row["interval"]
    return f"{row['accuracy']:.3f}", f"{low:.2f}–{high:.2f}"
