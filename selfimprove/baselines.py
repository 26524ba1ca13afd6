"""What the generations are compared with: the base model with exemplars, and training on answers without thoughts."""

from __future__ import annotations

from dataclasses import replace

from selfimprove.generation import Campaign, fine_tune, take_exam
from selfimprove.records import AcceptedTrace, Score
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import Stopwatch


def few_shot(campaign: Campaign) -> Score | None:
    """The base model's exam as it is asked in generation 1; None where it is asked the bare question there too."""
    prompter = campaign.workflow.first_prompter
    if prompter is None:
        return None
    folder = campaign.run.baseline("few_shot")
    with Stopwatch(folder / "seconds.json").time("examine"):
        return take_exam(campaign, campaign.base, folder / "exam", prompter, "few-shot base, exam", name="few-shot")


def answer_only(campaign: Campaign, generation: int) -> Score:
    """Fine-tuning on (question, answer) beside (question, rationale, answer).

    The rows are those that `generation` trained on with the reference answer in place of the trace: the same questions, equally often, for
    the same number of steps from the base weights; then the same exam.
    """
    folder = campaign.run.baseline("answer_only")
    answers = {problem.id: problem.answer for problem in campaign.problems}
    trained_on = read_records(campaign.run.generation(generation) / "rows.parquet", AcceptedTrace)
    rows = [replace(row, completion=answers[row.problem_id], origin="answer-only") for row in trained_on]
    watch = Stopwatch(folder / "seconds.json")
    with watch.time("train"):
        checkpoint, _ = fine_tune(campaign, campaign.base, rows, folder, "answer-only", generation, "answer-only baseline, training")
    with watch.time("examine"):
        return take_exam(campaign, checkpoint, folder / "exam", campaign.workflow.prompter, "answer-only baseline, exam")
