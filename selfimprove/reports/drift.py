"""How far training has moved the model, on a fixed text, as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from selfimprove.records import Stage


def measured(generations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The generations whose drift was measured."""
    return [row for row in generations if row.get("drift")]


def table(generations: Sequence[Mapping[str, Any]]) -> Table:
    """Negative log-likelihood and KL from the base model of each generation that was measured, and the time it took; fits 80 columns."""
    rows = measured(generations)
    title = Text(f"drift on a fixed text of {rows[-1]['drift']['tokens']:,} tokens, nats per token")
    found = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    found.add_column("generation", min_width=len("answer-only"))
    for column in ("negative log-likelihood", "KL from base", "seconds"):
        found.add_column(column, justify="right")
    for row in rows:
        figures = (f"{row['drift']['nll']:.3f}", f"{row['drift']['kl']:.3f}", f"{row['seconds'].get(Stage.DRIFT, 0):.0f}")
        found.add_row(str(row["generation"] or "base"), *figures)
    return found


def line(figures: Mapping[str, Any]) -> str | None:
    """The champion against the base model, in one sentence; None where either was not measured, or they are the same."""
    by_number = {row["generation"]: row["drift"] for row in measured(figures["generations"])}
    base, kept = by_number.get(0), by_number.get(figures["kept_generation"])
    if not base or not kept or base is kept:
        return None
    return (
        f"On a fixed text of {kept['tokens']:,} tokens that it was not trained for, its negative log-likelihood is {kept['nll']:.3f} nats per token "
        f"(base model: {base['nll']:.3f}), and the KL divergence of its predictions from the base model's is {kept['kl']:.3f}"
    )
