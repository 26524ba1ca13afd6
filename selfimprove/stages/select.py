"""Which traces are good enough to train on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from selfimprove.records import JudgedTrace, Problem, Selection
from selfimprove.stages.annotate import Probes, Rewards, annotate
from selfimprove.stages.context import RunContext


def select(
    context: RunContext,
    judged: Iterable[JudgedTrace],
    problems: Sequence[Problem],
    generation: int,
    probes: Probes | None = None,
    rewards: Rewards | None = None,
) -> Selection:
    """The accepted traces as training rows, and how many were dropped for which reason.

    Rows carry the prompt that the workflow's prompter makes, not the one that was sampled with. Traces that give an evaluation problem away are
    dropped as `contaminated`.
    """
    workflow = context.workflow
    prompts = {problem.id: workflow.prompter.messages(problem) for problem in problems}
    return decontaminate(context, workflow.selector.select(annotate(judged, probes or {}, rewards), prompts, generation))


def decontaminate(context: RunContext, selection: Selection) -> Selection:
    """The selection without rows that give an evaluation problem away."""
    if context.eval_index is None:
        return selection
    clean = context.eval_index.clean_rows(selection.accepted)
    dropped = len(selection.accepted) - len(clean)
    return Selection(tuple(clean), {**selection.drops, **({"contaminated": dropped} if dropped else {})})
