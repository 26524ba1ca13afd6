"""A run in figures: as data for programs, and as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from selfimprove.records import GenerationReport, Score
from selfimprove.storage.run_folder import RunFolder, Stopwatch

COUNTS = ("sampled", "verified", "accepted", "distinct", "trained_on")
STAGES = ("sample", "select", "train", "examine")


def summarize(run: RunFolder) -> dict[str, Any]:
    """The whole run as JSON data: generations, baselines, and the checkpoint that is kept.

    Raises:
        UserError: there is no run in the folder.
    """
    settings, reports, baselines = run.settings(), run.reports(), run.baselines()
    return {
        "generations": [_generation(report) for report in reports],
        "baselines": {name: baselines[name].pass_at_1 if name in baselines else None for name in ("few_shot", "answer_only")},
        "kept": reports[-1].kept.path if reports else None,
        "kept_generation": reports[-1].kept.generation if reports else None,
        "baseline_details": {name: _baseline(run, name, score) for name, score in baselines.items()},
        "name": settings["name"],
        "run_dir": str(run.root),
        "complete": len(reports) == settings["generations"] + 1 and (not settings["answer_only_baseline"] or "answer_only" in baselines),
    }


def _generation(report: GenerationReport) -> dict[str, Any]:
    return {
        "generation": report.generation,
        "pass_at_1": report.score.pass_at_1,
        "interval": list(report.score.interval),
        **{name: report.counts.get(name, 0) for name in COUNTS},
        "seconds": dict(report.seconds),
        "tokens": dict(report.tokens),
        "outcomes": dict(report.outcomes),
        "drops": dict(report.drops),
        "exam_outcomes": dict(report.score.outcomes),
        "pass_at_k": {str(k): value for k, value in report.score.pass_at_k.items()},
        "promoted": report.kept.id == report.candidate.id,
        "why": report.why,
        "checkpoint": report.candidate.path,
    }


def _baseline(run: RunFolder, name: str, score: Score) -> dict[str, Any]:
    watch = Stopwatch(run.baseline(name) / "seconds.json")
    return {"pass_at_1": score.pass_at_1, "interval": list(score.interval), "seconds": watch.seconds, "exam_outcomes": dict(score.outcomes)}


def show(summary: dict[str, Any], console: Console) -> None:
    """Print the table of a summary."""
    table = Table(title=Text(summary["name"]), title_justify="left")
    table.add_column("generation", justify="right")
    for name in COUNTS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("pass@1", justify="right")
    table.add_column("95 % interval", justify="right")
    for stage in STAGES:
        table.add_column(f"{stage} s", justify="right")
    table.add_column("gate")
    for row in summary["generations"]:
        first = row["generation"] == 0
        table.add_row(
            "base" if first else str(row["generation"]),
            *("" if first else f"{row[name]:,}" for name in COUNTS),
            *_score(row),
            *(f"{row['seconds'][stage]:.0f}" if stage in row["seconds"] else "" for stage in STAGES),
            "" if first else ("kept" if row["promoted"] else "refused"),
        )
    for name, row in summary["baseline_details"].items():
        blanks = [""] * len(COUNTS)
        seconds = (f"{row['seconds'][stage]:.0f}" if stage in row["seconds"] else "" for stage in STAGES)
        table.add_row(name.replace("_", "-"), *blanks, *_score(row), *seconds, "", style="dim")
    console.print(Group(table, _footer(summary)))


def _score(row: dict[str, Any]) -> tuple[str, str]:
    low, high = row["interval"]
    return f"{row['pass_at_1']:.3f}", f"{low:.3f} – {high:.3f}"


def _footer(summary: dict[str, Any]) -> Text:
    loop = sum(sum(row["seconds"].values()) for row in summary["generations"])
    lines = [f"stages of all generations: {loop / 60:.1f} min"]
    undecided = sum(row["exam_outcomes"].get("timeout", 0) + row["exam_outcomes"].get("crash", 0) for row in summary["generations"])
    if undecided:
        lines.append(f"exam answers that no verifier could decide: {undecided}")
    if summary["kept"]:
        lines.append(f"kept: generation {summary['kept_generation']}, {summary['kept']}")
    if not summary["complete"]:
        lines.append("the run is not complete; the same `selfimprove run` command continues it")
    return Text("\n".join(lines))
