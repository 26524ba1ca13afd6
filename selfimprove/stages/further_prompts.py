"""Further prompts: the evaluation problems, put to the base model and the champion in other words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from selfimprove.protocols import Prompter
from selfimprove.records import Checkpoint, GenerationReport, PromptScores, Score, Stage
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.storage.files import write_json
from selfimprove.storage.further import further_name
from selfimprove.storage.manifest import digest
from selfimprove.storage.stopwatch import Stopwatch


def ask_further(context: RunContext, reports: Sequence[GenerationReport]) -> list[PromptScores]:
    """The scores of the base model and of the champion under each prompter of `Workflow.also_prompters`.

    A checkpoint that was asked before is not asked again.
    """
    run, watch = context.run, Stopwatch(context.run.further_prompts / "seconds.json")

    def asked(checkpoint: Checkpoint, name: str, folder: str, prompter: Prompter) -> Score:
        place, label = run.asked_further(folder, checkpoint.id) / "evaluation", f"{checkpoint.id} asked by {name}"
        with watch.time(Stage.EVALUATE):
            return evaluate(context, checkpoint, place, label, prompter=prompter, name=f"{checkpoint.id}-{folder}")

    named, champion = list(_named(context.workflow.also_prompters)), context.here(reports[-1].kept)
    # All of one model before the other is loaded.
    before, after = ([asked(checkpoint, *one) for one in named] for checkpoint in (context.base, champion))
    scores = [PromptScores(name, folder, *both) for (name, folder, _), *both in zip(named, before, after, strict=True)]
    write_json(run.further_prompts / "scores.json", scores)
    return scores


def _named(prompters: Sequence[Prompter]) -> Iterator[tuple[str, str, Prompter]]:
    """Each prompter with its name, which counts those of one class, and its folder, which is the same wherever it stands."""
    names: list[str] = []
    for prompter in prompters:
        kind = type(prompter).__name__
        names.append(kind)
        name = kind if names.count(kind) == 1 else f"{kind} {names.count(kind)}"
        yield name, f"{further_name(kind)}-{digest([describe(prompter)])[:8]}", prompter
