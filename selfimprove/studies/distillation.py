"""From a teacher's verified traces to students of several sizes, and what it costs to run each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.students import drop_layers, size
from selfimprove.errors import UserError
from selfimprove.evaluation.scores import score
from selfimprove.problems.sets import load_sets
from selfimprove.protocols import Cluster, Progress, Tracker
from selfimprove.records import AcceptedTrace, Checkpoint, Request, Score, Trace
from selfimprove.selection.contamination import ExamIndex
from selfimprove.settings.paths import describe
from selfimprove.stages.collect import decontaminate, draw
from selfimprove.stages.context import Campaign
from selfimprove.stages.sample import ask, sample, sample_and_verify
from selfimprove.stages.select import select
from selfimprove.stages.train import fine_tune
from selfimprove.stages.verify import verify
from selfimprove.storage.files import read_json, write_json, write_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import JudgedShards
from selfimprove.workflow.workflow import Workflow

ALONE = 10
"""Answers that are asked for one at a time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model is worth, and what it costs to run."""

    name: str
    layers: int
    parameters: int
    score: Score
    tokens: float
    """Written for an answer, thinking included: the mean over the exam."""
    seconds: float
    """Of an answer when the whole exam is asked at once: wall time over answers."""
    seconds_alone: float
    """Of an answer that nothing runs beside: the median of some."""
    weights_hash: str


@contextmanager
def open_distillation(
    workflow: Workflow, folder: Path, start_cluster: Callable[[], Cluster], tracker: Tracker, progress: Progress
) -> Iterator[Campaign]:
    """The workflow's problems, exam and base model, with a cluster to work on; what is made is kept in `folder`, and the tracker is told.

    Raises:
        UserError: the folder holds something else, or the problems cannot be used.
    """
    problems, held_out = load_sets(workflow.problems, workflow.held_out, workflow.seed)
    exam = ExamIndex(workflow.contamination, held_out) if workflow.contamination else None
    clean = exam.clean_problems(problems) if exam else problems
    base, run = describe_folder(resolve_model(workflow.base_model), "base"), RunFolder(folder)
    run.claim(describe(workflow))
    run.save_problems("train", clean)
    run.save_problems("held_out", held_out)
    status, cluster = "FAILED", start_cluster()
    try:
        if link := tracker.start(workflow.name, describe(workflow), run.root):
            progress.say(link)
        yield Campaign(workflow, run, cluster, tracker, progress, base, clean, held_out, exam)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        cluster.close()
        tracker.finish(status)


def teach(campaign: Campaign, teacher: Checkpoint) -> list[AcceptedTrace]:
    """What students learn from: the teacher's traces that verify and are selected, as `problems_per_generation` and `mixture` say.

    This is sequence-level distillation (Kim and Rush 2016) with samples in place of the one best sequence, less what is wrong. The rows hold
    text, so that a student may have another tokenizer.

    Raises:
        UserError: not one trace was accepted.
    """
    workflow, folder, problems = campaign.workflow, campaign.run.root / "teacher", draw(campaign, 1)
    requests = ask(problems, workflow.prompter, workflow.sampling, "teacher", workflow.seed, workflow.delimiters)
    shards = sample_and_verify(campaign, teacher, requests, problems, folder, "teacher, sampling")
    selection = decontaminate(campaign.exam, select(workflow.selector, shards.read(), problems, workflow.prompter, 1))
    accepted = [replace(row, origin="teacher", completion_token_ids=None, forced=()) for row in selection.accepted]
    rows = workflow.mixture.rows([accepted], workflow.seed)
    if not rows:
        why = ", ".join(f"{count} {reason}" for reason, count in selection.drops.items())
        raise UserError(f"not one of the teacher's traces was accepted ({why}): take a teacher that solves these problems as they are asked")
    write_records(folder / "rows.parquet", rows, AcceptedTrace)
    solved = len({row.problem_id for row in rows})
    campaign.progress.say(f"{len(requests)} traces of {len(problems)} problems, {len(accepted)} accepted, {len(rows)} rows of {solved} problems")
    return rows


def learn(campaign: Campaign, model: Checkpoint, layers: int, rows: Sequence[AcceptedTrace], name: str) -> Checkpoint:
    """The student that has so many of the layers of `model`, trained on the rows; it is in the run's folder `name`.

    Raises:
        UserError: the model cannot have so many layers.
    """
    folder = campaign.run.root / name
    start = describe_folder(drop_layers(Path(model.path), layers, folder / "start"), f"{name}-start", parent_id=model.id)
    return fine_tune(campaign, start, rows, folder, name, 1, f"{name}, training")[0]


def examine_cost(campaign: Campaign, checkpoint: Checkpoint, name: str) -> Cost:
    """The model's exam, timed: first some questions one at a time, then all at once. One that was measured is only read.

    What is timed is sampling alone, by an engine that is warm. A measurement that was stopped begins anew.
    """
    workflow, cluster, folder = campaign.workflow, campaign.cluster, campaign.run.root / "exams" / name
    if (folder / "cost.json").exists():
        known = read_json(folder / "cost.json", Cost)
        if known.weights_hash == checkpoint.weights_hash:
            return known
    shutil.rmtree(folder, ignore_errors=True)
    requests = ask(campaign.held_out, workflow.prompter, workflow.exam, f"{name}-exam", workflow.seed, workflow.delimiters)
    campaign.progress.begin(f"{name}, exam", len(requests))

    def answer(asked: Sequence[Request]) -> tuple[list[Trace], float]:
        began = monotonic()
        traces = [trace for batch in sample(workflow.sampler, checkpoint, asked, cluster) for trace in batch]
        return traces, monotonic() - began

    # The first answer waits for the engine.
    answer(requests[:1])
    alone = median(answer([request])[1] for request in requests[:ALONE])
    traces, seconds = answer(requests)
    judged = [item for batch in verify(workflow.verifier, campaign.held_out, [traces], cluster, workflow.verifier_deadline) for item in batch]
    JudgedShards(folder, requests).add(judged)
    result = score(checkpoint.id, judged)
    campaign.progress.advance(len(judged), tokens=result.tokens, accepted=result.outcomes["correct"])
    campaign.progress.end()
    campaign.tracker.baseline(name, result)
    layers, parameters = size(Path(checkpoint.path))
    cost = Cost(name, layers, parameters, result, result.tokens / len(judged), seconds / len(judged), alone, checkpoint.weights_hash)
    write_json(folder / "cost.json", cost)
    return cost


def rows(costs: Iterable[Cost]) -> list[dict[str, Any]]:
    """As JSON data: `[{"name", "layers", "parameters", "accuracy", "interval": 95 %, "tokens", "seconds", "seconds_alone": of an answer}, …]`."""
    return [
        {
            "name": one.name,
            "layers": one.layers,
            "parameters": one.parameters,
            "accuracy": one.score.pass_at_1,
            "interval": list(one.score.interval),
            "tokens": one.tokens,
            "seconds": one.seconds,
            "seconds_alone": one.seconds_alone,
        }
        for one in costs
    ]
