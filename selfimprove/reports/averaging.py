"""Both candidates of a generation, trained and averaged with its start: as data for programs, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from selfimprove.records import GenerationReport
from selfimprove.reports.guards import guarded
from selfimprove.reports.scores import written


def tried(report: GenerationReport) -> dict[str, Any]:
    """The candidates by name, what each scores, and whether it is the generation's; empty where there was one candidate only."""
    return {
        name: {
            "pass_at_1": one.score.pass_at_1,
            "interval": list(one.score.interval),
            "passed": one.promote,
            "chosen": one.checkpoint.id == report.candidate.id,
            "why": one.why,
            "guards": guarded(one.guards),
            "drift": asdict(one.drift) if one.drift else None,
            "checkpoint": one.checkpoint.path,
        }
        for name, one in report.tried.items()
    }


def lines(row: Mapping[str, Any]) -> Iterator[str]:
    """A line for each candidate: its score, drift and losses, and what became of it."""
    for name, one in row["tried"].items():
        told = [f"pass@1 {' ('.join(written(one))})"]
        if one["drift"]:
            told.append(f"drift {one['drift']['kl']:.3f}")
        told += [f"guard {guard} {-found['loss']['loss']:+.3f}" for guard, found in one["guards"].items() if found["loss"]]
        # Where both are refused, the figures of the generation are those of the better one.
        what, chosen = ("let through", ", chosen") if one["passed"] else ("refused", ", the better one")
        yield f"{name} candidate: {', '.join(told)}; {what}{chosen if one['chosen'] else ''}"
