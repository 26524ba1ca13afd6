"""Retain: checkpoints that `Workflow.keep_checkpoints` does not keep go, as soon as nothing needs them."""

from __future__ import annotations

from selfimprove.checkpoints.removed import listed
from selfimprove.stages.context import RunContext
from selfimprove.storage.retention import freed, removals, remove_checkpoints, retained
from selfimprove.terminal.sizes import gigabytes


def retain(context: RunContext, ended: bool = False) -> None:
    """Remove the checkpoints of complete generations that are neither needed nor kept, and tell the trackers.

    A removal that fails prints a line; the run goes on. `ended`: whether the run is complete, so that the last candidate goes too if it was refused.
    """
    workflow, run, before = context.workflow, context.run, removals(context.run)
    for failure in remove_checkpoints(run, run.reports(), workflow.keep_checkpoints, workflow.overlap, ended):
        context.progress.say(failure)
    after = removals(run)
    if new := [one for one in after if one not in before]:
        numbers = sorted({one.generation for one in new})
        many = "s" if numbers[1:] else ""
        size = gigabytes(sum(one.bytes for one in new))
        context.progress.say(f"removed the checkpoint{many} of generation{many} {listed(numbers)}: {size} freed")
    if found := retained(run, run.reports()):
        context.tracker.log_figures("checkpoints", freed(found), ())
