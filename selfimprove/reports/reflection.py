"""Reflection in words: rows that were made, and what evaluations do about their first attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def lines(row: Mapping[str, Any], attempts: Mapping[str, float]) -> Iterator[str]:
    """The lines of one generation, the base model's included.

    Args:
        row: The generation as `reports.table.summarize` has it.
        attempts: `FirstAttempts.figures()` of its evaluation.
    """
    name = f"generation {row['generation']}" if row["generation"] else "base"
    if "revised" in row:
        yield f"reflection: {row['revised']:,} revisions and {row['confirmed']:,} confirmations among {row['accepted']:,} accepted rows"
    yield f"{name}, first attempts in the evaluation: reflection in {attempts.get('reflection_share', 0):.0%} of traces"
    for first in ("right", "wrong", "unknown"):
        revised, confirmed, neither = (int(attempts[f"{first}_{kind}"]) for kind in ("revised", "confirmed", "neither"))
        if traces := revised + confirmed + neither:
            change = {"right": f"; {int(attempts['spoilt'])} spoilt", "wrong": f"; {int(attempts['corrected'])} corrected"}.get(first, "")
            yield f"  {first}: {traces} ({revised} revised, {confirmed} confirmed, {neither} neither){change}"
