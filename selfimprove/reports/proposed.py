"""Problems that the model proposed: as data for programs, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from selfimprove.records import GenerationReport


def proposals(report: GenerationReport) -> dict[str, Any] | None:
    """The figures of a generation's proposed questions, with the share of false labels; None where none were asked for."""
    return None if report.proposed is None else {**asdict(report.proposed), "false_labels": report.proposed.false_labels}


def lines(row: Mapping[str, Any]) -> Iterator[str]:
    """What became of the proposed questions of a generation, how their answers agree, and how many labels are false."""
    if not (found := row.get("proposed")):
        return
    yield f"proposed questions: {found['kept']:,} of {found['proposed']:,} kept; {found['accepted']:,} accepted traces"
    if found["dropped"]:
        by_count = sorted(found["dropped"].items(), key=lambda one: (-one[1], one[0]))
        yield f"  dropped: {', '.join(f'{count:,} {reason}' for reason, count in by_count)}"
    if found["agreement"] is not None:
        kept = "" if found["agreement_kept"] is None else f"; of kept ones {found['agreement_kept']:.0%}"
        yield f"  mean agreement of a question's samples {found['agreement']:.0%}{kept}"
    if found["checked"] is not None:
        share = "" if found["false_labels"] is None else f" ({found['false_labels']:.1%})"
        rows = f"; {found['accepted_falsely']:,} accepted traces are theirs" if found["accepted_falsely"] else ""
        yield f"  accepted but falsely labelled by the checker: {found['falsely_labelled']:,} of {found['checked']:,}{share}{rows}"


def line(figures: Mapping[str, Any]) -> str | None:
    """How many problems the model proposed itself, and what is known of their labels, in one sentence; None where it proposed none.

    Args:
        figures: The run as `reports.table.summarize` has it.
    """
    found = [row["proposed"] for row in figures["generations"] if row.get("proposed")]
    if not found:
        return None
    kept = sum(one["kept"] for one in found)
    told = f"The model proposed {kept:,} further problems itself; the commonest of its own answers is taken as the reference"
    checked = sum(one["checked"] or 0 for one in found)
    return f"{told}, and of {checked:,} that were checked, {sum(one['falsely_labelled'] or 0 for one in found):,} are false" if checked else told
