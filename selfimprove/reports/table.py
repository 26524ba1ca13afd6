"""The figures of a run: as data for programs, and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from selfimprove.records import GenerationReport, Score, Stage
from selfimprove.reports import averaging as averaging_report
from selfimprove.reports import budget_curve as budget_report
from selfimprove.reports import drift as drift_report
from selfimprove.reports import levels as levels_report
from selfimprove.reports import proposed as proposed_report
from selfimprove.reports import thinking_off as thinking_report
from selfimprove.reports.footer import footer
from selfimprove.reports.guards import further_prompts, guarded
from selfimprove.reports.scores import at_k, final_test, further, gain, written
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.files import plain
from selfimprove.storage.lock import being_written
from selfimprove.storage.retention import retained
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.stopwatch import Stopwatch
from selfimprove.terminal.progress import PROGRESS
from selfimprove.terminal.safe_text import plain_line, printable

GENERAL = ("general", "general_tokens", "general_contaminated", "general_too_long")
COUNTS = ("sampled", "verified", "accepted", "distinct", "trained_on")
AT_ONCE = 8
"""Stages of a table; those with the longest names fit 80 columns."""


def summarize(run: RunFolder) -> dict[str, Any]:
    """The run as JSON data: generations, baselines, and the checkpoint that it kept.

    Raises:
        UserError: the folder holds no run.
    """
    settings, reports, baselines = run.settings(), run.reports(), run.baselines()
    return {
        "generations": [{**_generation(report), "also": further(candidate_folder(run, report.generation))} for report in reports],
        "baselines": {name: baselines[name].pass_at_1 if name in baselines else None for name in ("few_shot", "answer_only")},
        "kept": reports[-1].kept.path if reports else None,
        "kept_generation": reports[-1].kept.generation if reports else None,
        "baseline_details": {name: _baseline(run, name, score, reports[-1].kept_score if reports else None) for name, score in baselines.items()},
        "name": settings["name"],
        "run_dir": str(run),
        "complete": is_complete(run),
        "stopped_early": run.stopped(),
        "at_work": at_work(run),
        "test": final_test(run),
        "checkpoints": retained(run, reports),
        "further_prompts": further_prompts(run),
        "budget_curve": plain(run.budget_curves()) or None,
    }


def is_complete(run: RunFolder) -> bool:
    """Whether a run has all its generations, controls and its final test."""
    settings = run.settings()
    controls = settings["answer_only_baseline"] + len(settings.get("controls") or ())
    tested = settings.get("test_problems") is None or run.final_test() is not None
    ended = len(run.reports()) > settings["generations"] or run.stopped() is not None
    return ended and len(run.baselines().keys() - {"few_shot"}) >= controls and tested


def at_work(run: RunFolder) -> list[str] | None:
    """A line for each stage that a process of this machine works on; None where none does."""
    if not being_written(run.root):
        return None
    file = run.logs / PROGRESS
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _generation(report: GenerationReport) -> dict[str, Any]:
    return {
        "generation": report.generation,
        "pass_at_1": report.score.pass_at_1,
        "interval": list(report.score.interval),
        "sampled": report.counts.sampled if report.counts else 0,
        "accepted": report.counts.accepted if report.counts else 0,
        "seconds": dict(report.seconds),
        **{name: getattr(report.counts, name, 0) for name in ("verified", "distinct", "trained_on", "falsely_accepted")},
        **({} if report.counts is None or report.counts.off_policy is None else {"off_policy": report.counts.off_policy}),
        **{name: getattr(report.counts, name, None) for name in GENERAL},
        "samples_per_problem": report.samples_per_problem,
        "most_samples": report.counts.most_samples if report.counts else 0,
        "distinct_per_1000_tokens": report.distinct_per_1000_tokens,
        "tokens": {**report.tokens, **({} if report.saved_tokens is None else {"saved": report.saved_tokens})},
        "outcomes": dict(report.outcomes),
        "drops": dict(report.drops),
        "evaluation_outcomes": dict(report.score.outcomes),
        "undecided": report.score.undecided,
        **at_k("pass_at_k", report.score),
        **at_k("majority_at_k", report.score),
        "promoted": report.kept.id == report.candidate.id,
        "why": report.why,
        "coverage": _coverage(report),
        **levels_report.leveled(report),
        "guards": guarded(report.guards),
        "thinking": thinking_report.switched(report),
        **({} if report.counts is None or report.counts.direct is None else {"direct": report.counts.direct}),
        "tried": averaging_report.tried(report),
        "anatomy": report.anatomy.figures() if report.anatomy else {},
        "rationalization": report.rationalization.figures() if report.rationalization else {},
        "retry": report.retry.figures() if report.retry else {},
        "proposed": proposed_report.proposals(report),
        "first_attempts": report.first_attempts.figures() if report.first_attempts else {},
        **{name: count for name in ("revised", "confirmed") if (count := getattr(report.counts, name, None)) is not None},
        "difficulty": report.difficulty.figures() if report.difficulty else {},
        "spent": asdict(report.spent) if report.spent else None,
        "drift": asdict(report.drift) if report.drift else None,
        "gpu_memory_left": dict(report.gpu_memory_left),
        "checkpoint": report.candidate.path,
    }


def _coverage(report: GenerationReport) -> dict[str, Any] | None:
    if report.coverage is None:
        return None
    ids = {name: getattr(report.coverage, name) for name in ("newly_solved", "forgotten", "never_solved")}
    return {"trend": report.coverage.trend, **{name: list(problems) for name, problems in ids.items()}}


def _baseline(run: RunFolder, name: str, score: Score, champion: Score | None) -> dict[str, Any]:
    return {
        "pass_at_1": score.pass_at_1,
        "interval": list(score.interval),
        "seconds": Stopwatch(run.baseline(name) / "seconds.json").seconds,
        "evaluation_outcomes": dict(score.outcomes),
        "also": further(run.baseline(name)),
        "champion_gain": None if champion is None else gain(score, champion),
    }


def show(summary: dict[str, Any], console: Console) -> None:
    """Print the tables of a summary: results, then seconds by stage. Each fits 80 columns."""
    results = _table(summary["name"], *(name.replace("_", "\n") for name in COUNTS), "pass@1", "95 %\ninterval", "gate")
    every = [*summary["generations"], *summary["baseline_details"].values()]
    # The table of drift has its own column for it.
    stages = [stage for stage in Stage if stage is not Stage.DRIFT and any(stage in row["seconds"] for row in every)]
    for row in summary["generations"]:
        first = row["generation"] == 0
        name, gate = ("base", "") if first else (str(row["generation"]), "kept" if row["promoted"] else "refused")
        results.add_row(name, *("" if first else f"{row[count]:,}" for count in COUNTS), *written(row), gate)
    for name, row in summary["baseline_details"].items():
        results.add_row(printable(name.replace("_", "-")), *[""] * len(COUNTS), *written(row), "", style="dim")
    further: list[Table | Text] = [_further(summary), Text()] if any(row["also"] for row in every) else []
    if levels_report.evaluated(summary["generations"]):
        further += [levels_report.table(summary["generations"]), Text()]
    if any(row["guards"] for row in summary["generations"]):
        further += [_guards(summary), Text()]
    if thinking_report.evaluated(summary["generations"]):
        further += [thinking_report.table(summary["generations"]), Text()]
    if drift_report.measured(summary["generations"]):
        further += [drift_report.table(summary["generations"]), Text()]
    timed = [part for begin in range(0, len(stages), AT_ONCE) for part in (_seconds(summary, stages[begin : begin + AT_ONCE]), Text())]
    console.print(Group(results, Text(), *further, *timed, footer(summary)))
    if curves := summary.get("budget_curve"):
        console.print(Text(), budget_report.table(curves))


def _further(summary: dict[str, Any]) -> Table:
    """The same evaluation traces by the workflow's verifier and by further ones."""
    named = _named(summary)
    verifiers = dict.fromkeys(verifier for _, _, row in named for verifier in row["also"])
    table = _table("evaluation by further verifiers", "pass@1", *map(plain_line, verifiers))
    for name, style, row in named:
        also = [row["also"].get(verifier) for verifier in verifiers]
        table.add_row(printable(name), *(" ".join(written(one)) if one else "" for one in (row, *also)), style=style)
    return table


def _guards(summary: dict[str, Any]) -> Table:
    """What base model and candidates score on the problems of each guard."""
    names = dict.fromkeys(name for row in summary["generations"] for name in row["guards"])
    table = _table("pass@1 by guards", *map(plain_line, names))
    for row in summary["generations"]:
        found = [row["guards"].get(name) for name in names]
        table.add_row(str(row["generation"] or "base"), *(" ".join(written(one)) if one else "" for one in found))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(plain_line(title)), title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
    table.add_column("generation", min_width=len("answer-only"))
    for column in columns:
        table.add_column(Text(column), justify="right")
    return table


def _seconds(summary: dict[str, Any], stages: Sequence[Stage]) -> Table:
    table = _table("seconds", *stages)
    for name, style, row in _named(summary):
        table.add_row(printable(name), *(f"{row['seconds'][stage]:.0f}" if stage in row["seconds"] else "" for stage in stages), style=style)
    return table


def _named(summary: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, style and figures of each generation and each baseline."""
    named = [("base" if not row["generation"] else str(row["generation"]), "", row) for row in summary["generations"]]
    return named + [(name.replace("_", "-"), "dim", row) for name, row in summary["baseline_details"].items()]
