"""The final test: problems that neither trained nor chose anything, asked once, at the end."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, GenerationReport, Score, Stage
from selfimprove.stages.baselines import control_model
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.storage.files import write_json
from selfimprove.storage.stopwatch import Stopwatch


def final_test(context: RunContext, reports: Sequence[GenerationReport]) -> dict[str, Score]:
    """The scores of the base model (`base`), of the champion (`champion`) and of the workflow's baselines on the test problems.

    A checkpoint that was tested before is not asked again, as when a run goes on for more generations and keeps its champion.
    """
    workflow, folder = context.workflow, context.run.test
    asked: dict[str, tuple[Checkpoint, Prompter | None]] = {"base": (context.base, None), "champion": (context.here(reports[-1].kept), None)}
    if workflow.first_prompter is not None:
        asked["few_shot"] = context.base, workflow.first_prompter
    for control in workflow.all_controls:
        asked[control.name] = control_model(context, control, reports), None
    scores = {}
    for name, (checkpoint, prompter) in asked.items():
        place = context.run.tested(name, checkpoint.id)
        label = f"final test, {name.replace('_', '-')}"
        with Stopwatch(folder / "seconds.json").time(Stage.EVALUATE):
            scores[name] = evaluate(
                context, checkpoint, place / "evaluation", label, prompter=prompter, name=f"{place.name}-test", problems=context.test_problems
            )
    write_json(folder / "test.json", scores)
    return scores
