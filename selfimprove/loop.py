"""The loop: one generation after another, each from the checkpoint that the gate kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from selfimprove.generation import evaluate_base, run_generation
from selfimprove.protocols import Cluster, Progress
from selfimprove.protocols.trackers import Trackers
from selfimprove.records import Checkpoint, GenerationReport
from selfimprove.reports.html_report import write_html
from selfimprove.stages.baselines import measure_control
from selfimprove.stages.context import RunContext, open_run_context
from selfimprove.stages.expected_time import time_left
from selfimprove.stages.final_test import final_test
from selfimprove.stages.further_prompts import ask_further
from selfimprove.stages.retain import retain
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import duration
from selfimprove.tracking.figures import of_prompts
from selfimprove.workflow.workflow import Workflow


def improve(
    workflow: Workflow,
    run_dir: Path | str | RunFolder,
    cluster: Callable[[], Cluster],
    tracker: Trackers = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """Sample, verify, select, train, evaluate; keep what the gate lets through; again. The same call continues a run that was stopped.

    Args:
        workflow: Which part plays each role.
        run_dir: A new or empty folder, or that of an earlier run of the same workflow: a path, a URL that fsspec knows (`s3://bucket/first`), or a
            `RunFolder` that is open already.
        cluster: Called once there is work: `RayCluster`, or `InlineCluster` for this process.
        tracker: Mirrors the run, such as `MLflow()`; several in a list; None for no tracking.
        progress: Shows the work; None for silence.

    Returns:
        The champion.

    Raises:
        UserError: The input is at fault; the message says what to change.
        WorkerFailed: A worker died again and again, or stopped answering.
    """
    with open_run_context(workflow, run_dir, cluster, tracker, progress) as context:
        if progress and (seconds := time_left(context)):
            context.progress.say(f"about {duration(seconds)} to the end on this machine")
        reports = [evaluate_base(context)]
        for number in range(1, workflow.generations + 1):
            reports.append(run_generation(number, reports, context))
            if workflow.stop and (reason := workflow.stop.reason(reports)):
                context.run.stop(reason)
                context.progress.say(f"stopped early: {reason}")
                break
        final_report(context, reports)
    return reports[-1].kept


def final_report(context: RunContext, reports: Sequence[GenerationReport]) -> None:
    """The controls, the further prompts and the final test, where the workflow asks for them, and the run on one HTML page."""
    for control in context.workflow.all_controls:
        context.tracker.log_baseline(control.name, measure_control(context, control, reports))
    if context.workflow.also_prompters:
        asked = ask_further(context, reports)
        context.tracker.log_figures("asked_by", [(of_prompts(asked), 0)], ())
    if context.test_problems:
        scores = final_test(context, reports)
        context.tracker.log_figures("test", [({name: score.pass_at_1 for name, score in scores.items()}, 0)], ())
    retain(context, ended=True)
    page = Path(write_html(context.run)["file"])
    context.progress.say(f"report: {page}")
    context.tracker.log_figures("report", (), (page,))
