"""A table of what models cost to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from selfimprove.terminal.safe_text import printable


def show_costs(rows: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Print the rows of `studies.distillation.rows` as a table that fits 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("layers", "para-\nmeters", "accuracy", "95 %\ninterval", "tokens per\nanswer", "seconds per\nanswer", "\nalone"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["interval"]
        table.add_row(
            printable(row["name"]),
            str(row["layers"]),
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['accuracy']:.3f}",
            f"{low:.2f}–{high:.2f}",
            f"{row['tokens']:.0f}",
            f"{row['seconds']:.3f}",
            f"{row['seconds_alone']:.2f}",
        )
    console.print(table)
