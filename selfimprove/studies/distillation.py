"""Trains students of several sizes on a teacher's verified traces, and measures what each model costs to run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.students import drop_layers, size
from selfimprove.errors import UserError
from selfimprove.evaluation.scores import score
from selfimprove.records import AcceptedTrace, Checkpoint, Request, Score, Trace
from selfimprove.sampling.stream import stream_traces
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import draw
from selfimprove.stages.obstacles import why_none
from selfimprove.stages.sample import ask, sample
from selfimprove.stages.select import select
from selfimprove.stages.train import train
from selfimprove.storage.files import write_records
from selfimprove.storage.keep import keep
from selfimprove.storage.shards import JudgedShards
from selfimprove.verification.stream import stream_verdicts

ALONE = 10
"""Number of questions that are asked one at a time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Accuracy of one model, and what it costs to run."""

    name: str
    layers: int
    parameters: int
    score: Score
    tokens: float
    """Mean number of tokens of an answer, thinking included."""
    seconds: float
    """Seconds per answer when the whole evaluation is asked at once: wall time divided by answers."""
    seconds_alone: float
    """Seconds of an answer when nothing else runs: the median of `ALONE` answers."""
    weights_hash: str


def teach(context: RunContext, teacher: Checkpoint) -> list[AcceptedTrace]:
    """The training rows of the students: the teacher's verified and selected traces, in the number that `problems_per_generation` and `mixture` set.

    This is sequence-level distillation (Kim and Rush 2016) with correct samples in place of the single best sequence. The rows hold text, so a
    student may have another tokenizer.

    Raises:
        UserError: no trace was accepted.
    """
    workflow, folder, problems = context.workflow, context.run.root / "teacher", draw(context, 1)
    requests = ask(context, problems, "teacher")
    shards = sample(context, teacher, requests, problems, folder, "teacher, sampling")
    selection = select(context, shards.read(), problems, 1)
    accepted = [replace(row, origin="teacher", completion_token_ids=None, forced=()) for row in selection.accepted]
    rows = workflow.mixture.rows([accepted], workflow.seed)
    if not rows:
        raise UserError(f"none of the teacher's traces was accepted {why_none(shards.read(), selection.drops)}; or choose another teacher")
    write_records(folder / "rows.parquet", rows, AcceptedTrace)
    solved = len({row.problem_id for row in rows})
    context.progress.say(f"{len(requests)} traces of {len(problems)} problems, {len(accepted)} accepted, {len(rows)} rows of {solved} problems")
    return rows


def learn(context: RunContext, model: Checkpoint, layers: int, rows: Sequence[AcceptedTrace], name: str) -> Checkpoint:
    """Train a student with this many of the layers of `model` on the rows, in the run's folder `name`.

    Raises:
        UserError: the model does not have that many layers.
    """
    folder = context.run.root / name
    start = describe_folder(drop_layers(Path(model.path), layers, folder / "start"), f"{name}-start", parent_id=model.id)
    return train(context, start, rows, folder, name, f"{name}, training")[0]


def evaluate_cost(context: RunContext, checkpoint: Checkpoint, name: str) -> Cost:
    """Evaluate the model and time it: first some questions one at a time, then all at once. A finished measurement is read from disk.

    Only sampling is timed, on a warm engine. A measurement that was stopped starts over.
    """
    folder = context.run.root / "evaluations" / name
    made_from = {"weights": checkpoint.weights_hash, "tokenizer and chat template": checkpoint.tokenizer_hash}
    return keep(folder / "cost.json", Cost, made_from, lambda: _measured(context, checkpoint, name, folder))


def _measured(context: RunContext, checkpoint: Checkpoint, name: str, folder: Path) -> Cost:
    workflow, cluster = context.workflow, context.cluster
    for half in ("traces", "verdicts"):
        shutil.rmtree(folder / half, ignore_errors=True)
    requests = ask(context, context.eval_problems, f"{name}-exam", sampling=workflow.eval_sampling)
    context.progress.begin(f"{name}, evaluation", len(requests))

    def answer(asked: Sequence[Request]) -> tuple[list[Trace], float]:
        began = monotonic()
        traces = [trace for batch in stream_traces(workflow.sampler, checkpoint, [asked], cluster) for trace in batch]
        return traces, monotonic() - began

    # The first answer waits for the engine to start.
    answer(requests[:1])
    alone = median(answer([request])[1] for request in requests[:ALONE])
    traces, seconds = answer(requests)
    shards = JudgedShards(folder, requests)
    for batch in stream_verdicts(workflow.verifiers, context.eval_problems, [traces], cluster):
        shards.add(batch)
    judged = list(shards.read())
    result = score(checkpoint.id, judged)
    context.progress.advance(len(judged), tokens=result.tokens, accepted=result.outcomes["correct"])
    context.progress.end()
    context.tracker.log_baseline(name, result)
    layers, parameters = size(Path(checkpoint.path))
    return Cost(name, layers, parameters, result, result.tokens / len(judged), seconds / len(judged), alone, checkpoint.weights_hash)


def rows(costs: Iterable[Cost]) -> list[dict[str, Any]]:
    """The costs as JSON data: `[{"name", "layers", "parameters", "accuracy", "interval": 95 %, "tokens", "seconds", "seconds_alone"}, …]`.

    Tokens and seconds are per answer.
    """
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
