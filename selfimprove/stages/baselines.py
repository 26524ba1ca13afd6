"""Baselines: the base model with exemplars, and training on answers without thoughts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

from selfimprove.records import AcceptedTrace, Checkpoint, GenerationReport, Score, Stage
from selfimprove.stages.context import RunContext
from selfimprove.stages.evaluate import evaluate
from selfimprove.stages.train import train
from selfimprove.storage.files import read_json, read_records
from selfimprove.storage.stopwatch import Stopwatch


def few_shot(context: RunContext) -> Score | None:
    """The base model's evaluation with the prompter of generation 1; None where that is the bare question too."""
    prompter = context.workflow.first_prompter
    if prompter is None:
        return None
    folder = context.run.baseline("few_shot")
    with Stopwatch(folder / "seconds.json").time(Stage.EVALUATE):
        return evaluate(context, context.base, folder / "evaluation", "few-shot base, evaluation", prompter=prompter, name="few-shot")


def answer_only(context: RunContext, reports: Sequence[GenerationReport]) -> Score:
    """The score of a model trained on (question, answer) in place of (question, rationale, answer), as `answer_only_model` trains it."""
    folder, checkpoint = context.run.baseline("answer_only"), answer_only_model(context, reports)
    evaluated = folder / "evaluation" / "score.json"
    if evaluated.exists() and read_json(evaluated, Score).checkpoint_id != checkpoint.id:
        # The run went on for more generations, so the last candidate is another one.
        shutil.rmtree(evaluated.parent)
    with Stopwatch(folder / "seconds.json").time(Stage.EVALUATE):
        return evaluate(context, checkpoint, folder / "evaluation", "answer-only baseline, evaluation")


def answer_only_model(context: RunContext, reports: Sequence[GenerationReport]) -> Checkpoint:
    """The model of the answer-only baseline; it is trained where that has not been done yet.

    The rows are those of the last candidate with the reference answer in place of the trace: the same questions, equally often, for the same number
    of steps from the base weights. Where the candidate grew out of earlier champions, their trainings are repeated in turn.
    """
    folder = context.run.baseline("answer_only")
    answers = {problem.id: problem.answer for problem in context.problems}
    watch, checkpoint = Stopwatch(folder / "seconds.json"), context.base
    for number in lineage(reports):
        trained_on = read_records(context.run.generation(number) / "rows.parquet", AcceptedTrace)
        if not trained_on:  # A generation of reinforcement has no rows.
            continue
        rows = [replace(row, completion=answers[row.problem_id], completion_token_ids=None, origin="answer-only") for row in trained_on]
        place, label = folder / f"generation-{number:02d}", "answer-only baseline, training"
        with watch.time(Stage.TRAIN):
            checkpoint, _ = train(context.of_generation(number), checkpoint, rows, place, f"answer-only-{number}", label, generation=number)
    return checkpoint


def lineage(reports: Sequence[GenerationReport]) -> list[int]:
    """The generations whose trainings led to the last candidate, the oldest first."""
    candidates = {report.candidate.id: report.candidate for report in reports}
    one, numbers = reports[-1].candidate, list[int]()
    while one.parent_id is not None:
        numbers.append(one.generation)
        one = candidates[one.parent_id]
    return numbers[::-1]
