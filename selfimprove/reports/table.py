"""The figures of a run: as data for programs, and as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from selfimprove.records import GenerationReport, Score, Stage
from selfimprove.reports import averaging as averaging_report
from selfimprove.reports import budget_curve as budget_report
from selfimprove.reports import difficulty as difficulty_report
from selfimprove.reports import drift as drift_report
from selfimprove.reports import reflection as reflection_report
from selfimprove.reports.guards import further_prompts, guard_lines, guarded, prompt_lines
from selfimprove.reports.scores import at_k, final_test, further, gain, gain_line, test_lines, written
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
        "guards": guarded(report.guards),
        "tried": averaging_report.tried(report),
        "anatomy": report.anatomy.figures() if report.anatomy else {},
        "rationalization": report.rationalization.figures() if report.rationalization else {},
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
    seconds = _table("seconds", *stages)
    for row in summary["generations"]:
        first = row["generation"] == 0
        name, gate = ("base", "") if first else (str(row["generation"]), "kept" if row["promoted"] else "refused")
        results.add_row(name, *("" if first else f"{row[count]:,}" for count in COUNTS), *written(row), gate)
        seconds.add_row(name, *_seconds(row, stages))
    for name, row in summary["baseline_details"].items():
        results.add_row(printable(name.replace("_", "-")), *[""] * len(COUNTS), *written(row), "", style="dim")
        seconds.add_row(printable(name.replace("_", "-")), *_seconds(row, stages), style="dim")
    further: list[Table | Text] = [_further(summary), Text()] if any(row["also"] for row in every) else []
    if any(row["guards"] for row in summary["generations"]):
        further += [_guards(summary), Text()]
    if drift_report.measured(summary["generations"]):
        further += [drift_report.table(summary["generations"]), Text()]
    console.print(Group(results, Text(), *further, seconds, Text(), _footer(summary)))
    if curves := summary.get("budget_curve"):
        console.print(Text(), budget_report.table(curves))


def _further(summary: dict[str, Any]) -> Table:
    """The same evaluation traces by the workflow's verifier and by further ones."""
    named = [("base" if not row["generation"] else str(row["generation"]), "", row) for row in summary["generations"]]
    named += [(name.replace("_", "-"), "dim", row) for name, row in summary["baseline_details"].items()]
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


def _seconds(row: dict[str, Any], stages: Sequence[Stage]) -> Iterator[str]:
    return (f"{row['seconds'][stage]:.0f}" if stage in row["seconds"] else "" for stage in stages)


def _anatomy(figures: dict[str, float]) -> Iterator[str]:
    shares = ", ".join(f"{name} in {figures[f'{name}_share']:.0%}" for name in ("reflection", "revision") if figures[f"{name}_share"])
    yield f"{figures['thoughts']:.1f} thoughts, {figures['output_tokens']:.0f} tokens per trace{f'; {shares}' if shares else ''}"
    if figures.get("switches"):
        yield f"{figures['switches']:.1f} switches to another thought per trace"
    for name, meaning in (("under_thinking", "wrong traces"), ("over_thinking", "correct traces")):
        if name in figures:
            low, high = figures[f"{name}_low"], figures[f"{name}_high"]
            kind = name.replace("_", "-")
            yield f"{kind} {figures[name]:.2f} ({low:.2f}–{high:.2f}) over {figures[f'{name}_traces']:.0f} {meaning}"


def _rationalization(figures: dict[str, float]) -> Iterator[str]:
    problems, accepted, rows = (figures[name] for name in ("problems", "accepted", "trained_on"))
    yield f"rationalization: {accepted:.0f} traces accepted for {problems:.0f} unsolved problems, {rows:.0f} trained on"
    if "value" in figures:
        gain, low, high = (figures[name] for name in ("value", "value_low", "value_high"))
        yield f"  gain {gain:+.3f} ({low:+.3f} to {high:+.3f}); pass@1 without them {figures['without']:.3f}"


def _gains(summary: dict[str, Any]) -> str | None:
    """What base and champion score by each verifier and under each prompt: a gain that only the first one sees is one of form."""
    rows = summary["generations"]
    base, kept = rows[0] if rows else None, next((row for row in rows if row["generation"] == summary["kept_generation"]), None)
    if not (base and kept and (base["also"] or summary["further_prompts"])):
        return None
    pairs = {"pass@1": (base, kept), **{f"by {name}": (one, kept["also"][name]) for name, one in base["also"].items() if name in kept["also"]}}
    pairs |= {f"asked by {name}": (found["base"], found["champion"]) for name, found in summary["further_prompts"].items()}
    told = "; ".join(f"{name} {before['pass_at_1']:.3f} → {after['pass_at_1']:.3f}" for name, (before, after) in pairs.items())
    return f"base → champion: {told}"


def _footer(summary: dict[str, Any]) -> Text:
    loop = sum(sum(row["seconds"].values()) for row in summary["generations"])
    lines = []
    for row in summary["generations"]:
        if found := row["coverage"]:
            solved = f"{len(found['newly_solved'])} newly solved, {len(found['forgotten'])} forgotten, {len(found['never_solved'])} never solved"
            lines += [f"generation {row['generation']}: {found['trend']}: {solved}", f"  {row['why']}"]
        if row["most_samples"] > row["samples_per_problem"]:
            samples = f"{row['samples_per_problem']:.1f} samples per problem, at most {row['most_samples']}"
            lines.append(f"  {samples}; {row['distinct_per_1000_tokens']:.1f} distinct accepted per 1,000 tokens")
        lines += [f"  {line}" for line in (*guard_lines(row), *averaging_report.lines(row))]
        if "off_policy" in row:
            lines.append(f"  off-policy: {row['off_policy']:,} of {row['accepted']:,} accepted traces are from the champion before the last")
        if general := row.get("general"):
            tokens = "" if row["general_tokens"] is None else f", {row['general_tokens']:,} tokens of answers"
            passed_over = f"; passed over: {row['general_contaminated']:,} contaminated, {row['general_too_long']:,} too long"
            lines.append(f"  general rows: {general:,} of {row['trained_on']:,} trained on{tokens}{passed_over}")
        if anatomy := row.get("anatomy"):
            lines += [f"  {line}" for line in _anatomy(anatomy)]
        if wrong := row.get("falsely_accepted"):
            lines.append(f"  accepted but wrong by the reference answer: {wrong} of {row['accepted']} ({wrong / row['accepted']:.1%})")
        if hints := row.get("rationalization"):
            lines += [f"  {line}" for line in _rationalization(hints)]
        if attempts := row.get("first_attempts"):
            lines += [f"  {line}" for line in reflection_report.lines(row, attempts)]
        if difficulty := row.get("difficulty"):
            lines += [f"  {line}" for line in difficulty_report.lines(difficulty)]
        if spent := row.get("spent"):
            lines.append(f"  the endpoint counted {spent['prompt_tokens']:,} tokens in, {spent['output_tokens']:,} out; cost {spent['cost']:.4g}")
    if also := _gains(summary):
        lines += [also, *(f"  {line}" for line in prompt_lines(summary))]
    for name, baseline in summary["baseline_details"].items():
        if found := baseline["champion_gain"]:
            lines.append(f"champion against {name.replace('_', '-')}: {gain_line(found)}")
    lines += test_lines(summary)
    lines.append(f"stages of all generations: {loop / 60:.1f} min")
    undecided = [row["undecided"] for row in summary["generations"]]
    if any(undecided):
        lines.append("evaluation answers without a verdict: " + ", ".join(f"{share:.1%}" for share in undecided))
    if summary["kept"]:
        lines.append(f"kept: generation {summary['kept_generation']}, {summary['kept']}")
    if found := summary["checkpoints"]:
        lines.append(found["told"])
    if summary["stopped_early"]:
        lines.append(f"stopped early: {summary['stopped_early']}")
    if summary.get("at_work") is not None:
        lines += ["the run is at work", *(f"  {line}" for line in summary["at_work"])]
    elif not summary["complete"]:
        lines.append("the run is not complete; the same `selfimprove run` command continues it")
    return Text("\n".join(map(plain_line, lines)))
