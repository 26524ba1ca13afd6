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
from selfimprove.selection.contamination import EvalIndex
from selfimprove.settings.paths import describe
from selfimprove.stages.collect import decontaminate, draw
from selfimprove.stages.context import RunContext
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
    """Written for an answer, thinking included: the mean over the evaluation."""
    seconds: float
    """Of an answer when the whole evaluation is asked at once: wall time over answers."""
    seconds_alone: float
    """Of an answer that nothing runs beside: the median of some."""
    weights_hash: str


@contextmanager
def open_distillation(
    workflow: Workflow, folder: Path, start_cluster: Callable[[], Cluster], tracker: Tracker, progress: Progress
) -> Iterator[RunContext]:
    """The workflow's problems, evaluation and base model, with a cluster to work on; what is made is kept in `folder`, and the tracker is told.

    Raises:
        UserError: the folder holds something else, or the problems cannot be used.
    """
    problems, eval_problems = load_sets(workflow.problems, workflow.eval_problems, workflow.seed)
    evaluation = EvalIndex(workflow.contamination, eval_problems) if workflow.contamination else None
    clean = evaluation.clean_problems(problems) if evaluation else problems
    base, run = describe_folder(resolve_model(workflow.base_model), "base"), RunFolder(folder)
    run.claim(describe(workflow))
    run.save_problems("train", clean)
    run.save_problems("eval", eval_problems)
    status, cluster = "FAILED", start_cluster()
    try:
        if link := tracker.start(workflow.name, describe(workflow), run.root):
            progress.say(link)
        yield RunContext(workflow, run, cluster, tracker, progress, base, clean, eval_problems, evaluation)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        cluster.close()
        tracker.finish(status)


def teach(context: RunContext, teacher: Checkpoint) -> list[AcceptedTrace]:
    """What students learn from: the teacher's traces that verify and are selected, as `problems_per_generation` and `mixture` say.

    This is sequence-level distillation (Kim and Rush 2016) with samples in place of the one best sequence, less what is wrong. The rows hold
    text, so that a student may have another tokenizer.

    Raises:
        UserError: not one trace was accepted.
    """
    workflow, folder, problems = context.workflow, context.run.root / "teacher", draw(context, 1)
    requests = ask(problems, workflow.prompter, workflow.sampling, "teacher", workflow.seed, workflow.delimiters)
    shards = sample_and_verify(context, teacher, requests, problems, folder, "teacher, sampling")
    selection = decontaminate(context.eval_index, select(workflow.selector, shards.read(), problems, workflow.prompter, 1))
    accepted = [replace(row, origin="teacher", completion_token_ids=None, forced=()) for row in selection.accepted]
    rows = workflow.mixture.rows([accepted], workflow.seed)
    if not rows:
        why = ", ".join(f"{count} {reason}" for reason, count in selection.drops.items())
        raise UserError(f"not one of the teacher's traces was accepted ({why}): take a teacher that solves these problems as they are asked")
    write_records(folder / "rows.parquet", rows, AcceptedTrace)
    solved = len({row.problem_id for row in rows})
    context.progress.say(f"{len(requests)} traces of {len(problems)} problems, {len(accepted)} accepted, {len(rows)} rows of {solved} problems")
    return rows


def learn(context: RunContext, model: Checkpoint, layers: int, rows: Sequence[AcceptedTrace], name: str) -> Checkpoint:
    """The student that has so many of the layers of `model`, trained on the rows; it is in the run's folder `name`.

    Raises:
        UserError: the model cannot have so many layers.
    """
    folder = context.run.root / name
    start = describe_folder(drop_layers(Path(model.path), layers, folder / "start"), f"{name}-start", parent_id=model.id)
    return fine_tune(context, start, rows, folder, name, 1, f"{name}, training")[0]


def examine_cost(context: RunContext, checkpoint: Checkpoint, name: str) -> Cost:
    """The model's evaluation, timed: first some questions one at a time, then all at once. One that was measured is only read.

    What is timed is sampling alone, by an engine that is warm. A measurement that was stopped begins anew.
    """
    workflow, cluster, folder = context.workflow, context.cluster, context.run.root / "evaluations" / name
    if (folder / "cost.json").exists():
        known = read_json(folder / "cost.json", Cost)
        if known.weights_hash == checkpoint.weights_hash:
            return known
    shutil.rmtree(folder, ignore_errors=True)
    requests = ask(context.eval_problems, workflow.prompter, workflow.eval_sampling, f"{name}-exam", workflow.seed, workflow.delimiters)
    context.progress.begin(f"{name}, evaluation", len(requests))

    def answer(asked: Sequence[Request]) -> tuple[list[Trace], float]:
        began = monotonic()
        traces = [trace for batch in sample(workflow.sampler, checkpoint, asked, cluster) for trace in batch]
        return traces, monotonic() - began

    # The first answer waits for the engine.
    answer(requests[:1])
    alone = median(answer([request])[1] for request in requests[:ALONE])
    traces, seconds = answer(requests)
    judged = [item for batch in verify(workflow.verifier, context.eval_problems, [traces], cluster, workflow.verifier_deadline) for item in batch]
    JudgedShards(folder, requests).add(judged)
    result = score(checkpoint.id, judged)
    context.progress.advance(len(judged), tokens=result.tokens, accepted=result.outcomes["correct"])
    context.progress.end()
    context.tracker.baseline(name, result)
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
