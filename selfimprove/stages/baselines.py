"""Baselines: the base model with exemplars, and controls, which are trained on other rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from selfimprove.protocols import Control
from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Problem, Score, Stage
from selfimprove.seeds import derive_seed
from selfimprove.selection.direct import is_direct
from selfimprove.selection.replay import GENERAL
from selfimprove.stages.choose import average
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.general import weighted
from selfimprove.stages.thinking_off import without_thinking
from selfimprove.stages.train import train
from selfimprove.storage.averaged import AVERAGED, chosen_share
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.shards import stored
from selfimprove.storage.stopwatch import Stopwatch


def few_shot(context: RunContext) -> Score | None:
    """The base model's evaluation with the prompter of generation 1; None where that is the bare question too."""
    prompter = context.workflow.first_prompter
    if prompter is None:
        return None
    folder = context.run.baseline("few_shot")
    with Stopwatch(folder / "seconds.json").time(Stage.EVALUATE):
        return evaluate(context, context.base, folder / "evaluation", "few-shot base, evaluation", prompter=prompter, name="few-shot")


def measure_control(context: RunContext, control: Control, reports: Sequence[GenerationReport]) -> Score:
    """The score of a control's model on the evaluation problems, as `control_model` trains it."""
    folder, checkpoint = context.run.baseline(control.name), control_model(context, control, reports)
    evaluated = folder / "evaluation" / "score.json"
    if evaluated.exists() and read_json(evaluated, Score).checkpoint_id != checkpoint.id:
        # The run went on for more generations, so the last candidate is another one.
        shutil.rmtree(evaluated.parent)
    with Stopwatch(folder / "seconds.json").time(Stage.EVALUATE):
        return evaluate(context, checkpoint, folder / "evaluation", f"{_shown(control)}, evaluation")


def control_model(context: RunContext, control: Control, reports: Sequence[GenerationReport]) -> Checkpoint:
    """The model of a control; it is trained where that has not been done yet.

    It gets the control's rows in place of the last candidate's, for the same number of steps from the base weights. Where the candidate grew out of
    earlier champions, their trainings are repeated in turn. What was averaged with its start there is so here.
    """
    folder, problems = context.run.baseline(control.name), context.known
    watch, checkpoint = Stopwatch(folder / "seconds.json"), context.base
    for number in lineage(reports):
        trained_on = read_records(context.run.generation(number) / "rows.parquet", AcceptedTrace)
        if not trained_on:  # A generation of reinforcement has no rows.
            continue
        seed = derive_seed(context.workflow.seed, number)
        # General rows are the same beside every control's.
        general, others = [row for row in trained_on if row.origin == GENERAL], [row for row in trained_on if row.origin != GENERAL]
        # What thinks is made of rows that think; as many of the control's are then trained on without their thinking.
        thinking = [row for row in others if not (control.thinks and is_direct(row))]
        rows = control.rows(thinking, lambda generation: sampled_rows(context, problems, generation), problems, seed)
        rows = [*rows, *without_thinking(context, rows, len(others) - len(thinking), number)]
        place, name = folder / f"generation-{number:02d}", control.name.replace("_", "-")
        with watch.time(Stage.TRAIN):
            start, label = checkpoint, f"{_shown(control)}, training"
            own = context.of_generation(number)
            checkpoint, _ = train(own, start, weighted(own, [*rows, *general]), place, f"{name}-{number}", label, generation=number)
            if (share := chosen_share(context.run, number)) is not None:
                checkpoint = average(context, start, checkpoint, place / AVERAGED, share)
    return checkpoint


def _shown(control: Control) -> str:
    return f"{control.name.replace('_', '-')} baseline"


def sampled_rows(context: RunContext, problems: Mapping[str, Problem], generation: int) -> list[AcceptedTrace]:
    """All traces of a generation as rows with the prompt that training shows, without those that give evaluation problems away."""
    prompter = context.workflow.prompter
    rows = [
        AcceptedTrace(one.id, one.problem_id, prompter.messages(problems[one.problem_id]), one.text, "random", generation)
        for one in (item.trace for item in stored(context.run.generation(generation)))
        if one.text.strip()
    ]
    return rows if context.eval_index is None else list(context.eval_index.clean_rows(rows))


def lineage(reports: Sequence[GenerationReport]) -> list[int]:
    """The generations whose trainings led to the last candidate, the oldest first."""
    candidates = {report.candidate.id: report.candidate for report in reports}
    one, numbers = reports[-1].candidate, list[int]()
    while one.parent_id is not None:
        numbers.append(one.generation)
        one = candidates[one.parent_id]
    return numbers[::-1]
