"""`selfimprove check --probe`: a trial of about a minute, and what it forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from selfimprove.cluster.inline import InlineCluster
from selfimprove.cluster.ray_cluster import RayCluster
from selfimprove.commands.finding import Finding
from selfimprove.commands.findings import as_data, show_findings
from selfimprove.commands.run import handle_sigterm_like_ctrl_c
from selfimprove.commands.trial_findings import trial_findings
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.evaluation.scores import score
from selfimprove.records import JudgedTrace
from selfimprove.reports.trace_sources import SAMPLING
from selfimprove.reports.traces import described, show_traces
from selfimprove.stages.annotate import annotate
from selfimprove.stages.context import open_run_context
from selfimprove.stages.forecast import Pace, expected_rows, pace
from selfimprove.stages.trial import Trial, run_trial
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import TerminalProgress, duration
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.workflow.workflow import Workflow

SHOWN = 4
"""Traces that are shown, of as many outcomes as there are."""
WORDS = {"sample": "sampling", "train": "training", "evaluate": "evaluation"}


def forecast(
    workflow: Workflow, modules: Sequence[ModuleType], checked: dict[str, Any], folder: Path, inline: bool, console: Console
) -> dict[str, Any]:
    """Try the workflow out in a temporary folder, and show the progress on the console. A workflow with a failure is not tried out.

    Returns:
        The result of `check` with the new findings, `"new"`, the number of these, and `"probe"`: `{"problems", "traces", "truncated", "unanswered",
        "accepted", "rows": [expected, low, high], "accuracy": [pass@1, low, high], "tokens": of a trace, "minutes": {"all", "sample", "train",
        "evaluate"} or None, "training_timed", "cost", "samples": traces as `traces --json` prints them}`, or None where a part does not work.
    """
    findings, figures = [Finding("probe", False, "not run: correct what fails first")], None
    if checked["passed"]:
        findings, figures = _tried(workflow, modules, folder, inline, console)
    passed, data = all(finding.passed for finding in findings), as_data(findings)
    return {**checked, "passed": checked["passed"] and passed, "findings": [*checked["findings"], *data], "new": len(data), "probe": figures}


def _tried(
    workflow: Workflow, modules: Sequence[ModuleType], folder: Path, inline: bool, console: Console
) -> tuple[list[Finding], dict[str, Any] | None]:
    run, progress = RunFolder(folder), TerminalProgress(console)

    def ray_cluster() -> RayCluster:
        cluster = RayCluster(run.logs, ship=modules)
        # Ray has installed a handler of its own, which ends the process without a word.
        handle_sigterm_like_ctrl_c()
        return cluster

    try:
        with open_run_context(workflow, run, InlineCluster if inline else ray_cluster) as silent:
            context = replace(silent, progress=progress)
            trial = run_trial(context)
            measured = pace(context, trial)
            first = workflow.of_generation(1)
            return list(trial_findings(first, trial, measured, len(context.eval_problems))), _figures(first, trial, measured)
    except (UserError, WorkerFailed) as error:
        return [Finding("probe", False, str(error))], None
    finally:
        progress.stop()


def _figures(workflow: Workflow, trial: Trial, measured: Pace) -> dict[str, Any]:
    judged, base = trial.judged, score("base", trial.base_judged)
    cut, unanswered = (sum(holds(item) for item in judged) / len(judged) for holds in (_cut, lambda item: item.verdict.answer is None))
    minutes = None
    if measured.seconds is not None:
        minutes = {"all": sum(measured.seconds.values()) / 60} | {stage.value: seconds / 60 for stage, seconds in measured.seconds.items()}
    behaviours = workflow.behaviours or Behaviours()
    return {
        "problems": len(trial.asked),
        "traces": len(judged),
        "truncated": cut,
        "unanswered": unanswered,
        "accepted": sum(trial.accepted.values()),
        "rows": list(expected_rows(trial, getattr(workflow.mixture, "limit", None))),
        "accuracy": [base.pass_at_1, *base.interval],
        "tokens": sum(item.trace.output_tokens for item in judged) / len(judged),
        "minutes": minutes,
        "training_timed": measured.training,
        "cost": sum(item.trace.usage.cost for item in judged if item.trace.usage),
        "samples": [described(item, trial.asked[item.trace.problem_id], behaviours) for item in annotate(_varied(judged), {})],
    }


def _cut(item: JudgedTrace) -> bool:
    return item.trace.finish_reason == "length"


def _varied(judged: Sequence[JudgedTrace]) -> list[JudgedTrace]:
    """A few traces of different problems: the first of each outcome and way to end, then others."""
    first = list({(item.verdict.outcome, _cut(item)): item for item in reversed(judged)}.values())
    of_problem = {item.trace.problem_id: item for item in [*reversed(judged), *first]}
    others = [item for item in of_problem.values() if item not in first]
    return [*first, *reversed(others)][:SHOWN]


def show_forecast(result: dict[str, Any], console: Console) -> None:
    """Print a few traces, the new findings, and the expected time."""
    figures = result["probe"]
    if figures:
        show_traces({"generation": 1, "from": SAMPLING, "complete": False, "limited": False, "traces": figures["samples"]}, console)
    show_findings(result["findings"][-result["new"] :], console)
    if figures:
        console.print(_time_line(figures), highlight=False, soft_wrap=True, markup=False)


def _time_line(figures: dict[str, Any]) -> str:
    told = f"{figures['traces']} traces of {figures['problems']} problems were sampled"
    if figures["cost"]:
        told += f", which cost {figures['cost']:.2g}"
    if minutes := figures["minutes"]:
        parts = ", ".join(f"{word} {duration(60 * minutes[name])}" for name, word in WORDS.items())
        told += f"; a run takes about {duration(60 * minutes['all'])} if the machine stays as busy as now: {parts}"
        told += "" if figures["training_timed"] else " (not timed)"
    return told
