"""Guards: evaluations of a checkpoint on other problems, where it must not have lost what the base model knew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from selfimprove.evaluation.guards import can_refuse, measure_loss
from selfimprove.protocols import Resources
from selfimprove.records import Checkpoint, GuardScore
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.workflow.roles import guard_role


def evaluate_guards(
    context: RunContext, checkpoint: Checkpoint, folder: Path, label: str, base: Mapping[str, GuardScore] | None = None
) -> dict[str, GuardScore]:
    """What each guard of the workflow says of a checkpoint, in the session of the engine that holds it.

    Args:
        folder: The folder of the generation; gets `guards/<name>/` with traces, verdicts and `score.json`.
        label: The checkpoint's name in the progress display.
        base: The guards' evaluations of the base model, which the checkpoint is compared with; None for the base model itself.
    """
    found = {}
    for name, guard in context.workflow.guards.items():
        of_guard = _of_guard(context, name)
        score = evaluate(of_guard, checkpoint, folder / "guards" / name, f"{label}, guard {name}", name=f"{checkpoint.id}-guard-{name}")
        if base is None and not can_refuse(score, guard.margin):
            told = f"the base model solves {score.pass_at_1:.1%} of its {score.problems} problems; take easier ones"
            context.progress.say(f"guard {name} can refuse nothing: {told}")
        found[name] = GuardScore(score, measure_loss(base[name].score, score, guard.margin, context.workflow.seed) if base else None)
    return found


def _of_guard(context: RunContext, name: str) -> RunContext:
    """The context with a guard's problems, verifier, prompter and sampling in place of the evaluation's."""
    workflow, guard = context.workflow, context.workflow.guards[name]
    asked = replace(
        workflow,
        verifier=guard.verifier,
        verifier_resources=Resources(cpus=0, gpus=0),
        also=(),
        prompter=guard.prompter or workflow.prompter,
        eval_sampling=guard.sampling or workflow.eval_sampling,
    )
    # No solve rates are predicted for its problems.
    return replace(context, workflow=asked, eval_problems=context.guards[name], verifier_role=guard_role(name), predicted={})
