"""The loop: one generation after another, each from the checkpoint that the gate kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.generation import base_report, run_generation
from selfimprove.problems.sets import load_sets
from selfimprove.protocols import Cluster, Progress, Tracker
from selfimprove.records import Checkpoint
from selfimprove.reports.html_report import write_html
from selfimprove.selection.contamination import EvalIndex
from selfimprove.settings.paths import describe
from selfimprove.stages import baselines
from selfimprove.stages.context import RunContext
from selfimprove.storage.open_run import writing
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.tracking.no_tracker import NoTracker
from selfimprove.workflow.workflow import Workflow


def improve(
    workflow: Workflow,
    run_dir: Path | str | RunFolder,
    cluster: Callable[[], Cluster],
    tracker: Tracker | None = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """Sample, verify, select, train, evaluate; keep what the gate lets through; again. A run that was stopped is continued where it stopped.

    Args:
        workflow: which part plays each role.
        run_dir: where everything is kept: a new or empty folder, or that of an earlier run of the same workflow; as a path, as a URL that fsspec
            knows (`s3://bucket/first`), or open already.
        cluster: called once there is work, to start or join the place where it runs: `RayCluster`, or `InlineCluster` for this very process.
        tracker: who is told beside the run folder; None for nobody.
        progress: what is shown meanwhile; None for nothing.

    Returns:
        The champion.

    Raises:
        UserError: the input is at fault; the message says what to mend.
        WorkerFailed: a worker died again and again, or fell silent.
    """
    with writing(run_dir) as run:
        return _improve(workflow, run, cluster, tracker or NoTracker(), run.watched(progress or NoProgress()))


def _improve(workflow: Workflow, run: RunFolder, cluster: Callable[[], Cluster], tracker: Tracker, progress: Progress) -> Checkpoint:
    problems, eval_problems = load_sets(workflow.problems, workflow.eval_problems, workflow.seed, workflow.needs_reference)
    evaluation = EvalIndex(workflow.contamination, eval_problems) if workflow.contamination else None
    clean = evaluation.clean_problems(problems) if evaluation else problems
    base = describe_folder(resolve_model(workflow.base_model), "base")
    continued = run.claim(describe(workflow))
    run.save_problems("train", clean)
    run.save_problems("eval", eval_problems)
    progress.say(f"{'continuing' if continued else 'run'} {workflow.name} in {run}: {len(clean)} problems, {len(eval_problems)} held out")
    if len(clean) < len(problems):
        progress.say(f"{len(problems) - len(clean)} problems are left out: they give held-out questions away")

    status, place = "FAILED", cluster()
    try:
        link = tracker.start(workflow.name, describe(workflow), run.root)
        if link:
            progress.say(link)
        champion = run_generations(RunContext(workflow, run, place, tracker, progress, base, clean, eval_problems, evaluation))
        status = "FINISHED"
        page = Path(write_html(run)["file"])
        progress.say(f"report: {page}")
        tracker.measured("report", (), (page,), run.root)
        return champion
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        place.close()
        tracker.finish(status)


def run_generations(context: RunContext) -> Checkpoint:
    """Every generation of the context, and the baselines beside them."""
    reports = [base_report(context)]
    context.tracker.record(reports[0], context.run.generation(0))
    baseline = baselines.few_shot(context)
    if baseline is not None:
        context.tracker.baseline("few_shot", baseline)
    for number in range(1, context.workflow.generations + 1):
        report = run_generation(number, reports, context)
        reports.append(report)
        context.run.crown(context.here(report.kept))
        context.tracker.record(report, context.run.generation(number))
        context.progress.say(f"generation {number}: {report.why}: {report.kept.id} is champion")
        if reason := context.workflow.stop and context.workflow.stop.reason(reports):
            context.run.stop(reason)
            context.progress.say(f"stopped early: {reason}")
            break
    if context.workflow.answer_only_baseline:
        context.tracker.baseline("answer_only", baselines.answer_only(context, reports))
    return reports[-1].kept
