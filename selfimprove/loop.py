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
from selfimprove.selection.contamination import ExamIndex
from selfimprove.settings.paths import describe
from selfimprove.stages import baselines
from selfimprove.stages.context import Campaign
from selfimprove.storage.open_run import writing
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import Silence
from selfimprove.tracking.no_tracker import Silent
from selfimprove.workflow.workflow import Workflow


def improve(
    workflow: Workflow,
    run_dir: Path | str | RunFolder,
    cluster: Callable[[], Cluster],
    tracker: Tracker | None = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """Sample, verify, select, train, examine; keep what the gate lets through; again. A run that was stopped is continued where it stopped.

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
        return _improve(workflow, run, cluster, tracker or Silent(), run.watched(progress or Silence()))


def _improve(workflow: Workflow, run: RunFolder, cluster: Callable[[], Cluster], tracker: Tracker, progress: Progress) -> Checkpoint:
    problems, held_out = load_sets(workflow.problems, workflow.held_out, workflow.seed, workflow.needs_reference)
    exam = ExamIndex(workflow.contamination, held_out) if workflow.contamination else None
    clean = exam.clean_problems(problems) if exam else problems
    base = describe_folder(resolve_model(workflow.base_model), "base")
    continued = run.claim(describe(workflow))
    run.save_problems("train", clean)
    run.save_problems("held_out", held_out)
    progress.say(f"{'continuing' if continued else 'run'} {workflow.name} in {run}: {len(clean)} problems, {len(held_out)} held out")
    if len(clean) < len(problems):
        progress.say(f"{len(problems) - len(clean)} problems are left out: they give held-out questions away")

    status, place = "FAILED", cluster()
    try:
        link = tracker.start(workflow.name, describe(workflow), run.root)
        if link:
            progress.say(link)
        champion = run_generations(Campaign(workflow, run, place, tracker, progress, base, clean, held_out, exam))
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


def run_generations(campaign: Campaign) -> Checkpoint:
    """Every generation of the campaign, and the baselines beside them."""
    reports = [base_report(campaign)]
    campaign.tracker.record(reports[0], campaign.run.generation(0))
    baseline = baselines.few_shot(campaign)
    if baseline is not None:
        campaign.tracker.baseline("few_shot", baseline)
    for number in range(1, campaign.workflow.generations + 1):
        report = run_generation(number, reports, campaign)
        reports.append(report)
        campaign.run.crown(campaign.here(report.kept))
        campaign.tracker.record(report, campaign.run.generation(number))
        campaign.progress.say(f"generation {number}: {report.why}: {report.kept.id} is champion")
        if reason := campaign.workflow.stop and campaign.workflow.stop.reason(reports):
            campaign.run.stop(reason)
            campaign.progress.say(f"stopped early: {reason}")
            break
    if campaign.workflow.answer_only_baseline:
        campaign.tracker.baseline("answer_only", baselines.answer_only(campaign, reports))
    return reports[-1].kept
