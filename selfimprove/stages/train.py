"""Training: rows in, a checkpoint out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Cluster, Trainer
from selfimprove.records import (
    AcceptedTrace,
    Checkpoint,
    Trace,
    TrainingStep,
)
from selfimprove.seeds import derive_seed
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_json, read_records, write_json
from selfimprove.storage.manifest import digest, require_same
from selfimprove.storage.shards import JudgedShards

COMPARED = 256
"""Sequences of each kind that are compared before a training."""


def train(
    trainer: Trainer,
    start: Checkpoint,
    rows: Sequence[Any],
    into: Path,
    cluster: Cluster,
    *,
    checkpoint_id: str,
    generation: int,
    seed: int = 0,
    on_step: Callable[[TrainingStep], None] = lambda step: None,
) -> Checkpoint:
    """Train `start` on `rows`, accepted traces or what else this trainer takes, and leave the result in the folder `into`."""
    for steps in cluster.open("trainer", trainer).stream("train", [(start, rows, into, seed)]):
        for step in steps:
            on_step(step)
    return describe_folder(into, checkpoint_id, parent_id=start.id, generation=generation)


def require_agreement(
    context: RunContext, start: Checkpoint, rows: Sequence[AcceptedTrace], shards: JudgedShards, folder: Path, trainer: Trainer | None = None
) -> None:
    """Let the trainer show that it reads what the sampler wrote: rows of this generation, and the bare question as the evaluation asked it.

    `trainer` is the workflow's where it is None.

    Raises:
        UserError: it does not; nothing has been trained.
    """
    if (folder / "training.json").exists():
        return
    ours = {row.trace_id: row for row in rows if row.completion_token_ids is not None}
    pairs = [(ours[item.trace.id], item.trace) for item in shards.read() if item.trace.id in ours]
    bare = {problem.id: context.workflow.prompter.messages(problem) for problem in context.eval_problems}
    evaluation = read_records(context.run.generation(0) / "evaluation" / "traces" / "shard-00000.parquet", Trace)
    asked = [(bare[trace.problem_id], trace) for trace in evaluation]
    trainer = take_turn(context, trainer or context.workflow.trainer)
    context.cluster.open("trainer", trainer).call("agreement", start, pairs[:COMPARED], asked[:COMPARED])


def fine_tune(
    context: RunContext,
    start: Checkpoint,
    rows: Sequence[Any],
    folder: Path,
    checkpoint_id: str,
    number: int,
    label: str,
    trainer: Trainer | None = None,
) -> tuple[Checkpoint, list[TrainingStep]]:
    """The checkpoint trained on these rows, and the steps it took; one that is there is only read.

    `trainer` is the workflow's where it is None; `rows` are what it trains on.
    """
    trainer = trainer or context.workflow.trainer
    note = folder / "training.json"
    into = folder / "checkpoint"
    if note.exists():
        return describe_folder(into, checkpoint_id, start.id, number), read_json(note, list[TrainingStep])
    seed = derive_seed(context.workflow.seed, "train", number)
    made_from = {
        "rows": digest(rows),
        "weights": start.weights_hash,
        "tokenizer and chat template": start.tokenizer_hash,
        "trainer": digest([describe(trainer), seed]),
    }
    require_same(folder / "training.manifest.json", made_from)
    context.cluster.open("sampler", context.workflow.sampler).call("rest")
    steps: list[TrainingStep] = []
    context.progress.begin(label, 0)
    checkpoint = train(
        take_turn(context, trainer),
        start,
        rows,
        into,
        context.cluster,
        checkpoint_id=checkpoint_id,
        generation=number,
        seed=seed,
        on_step=_watching(context, steps),
    )
    context.progress.end()
    write_json(note, steps)
    return checkpoint, steps


def take_turn(context: RunContext, trainer: Trainer) -> Trainer:
    """This trainer, after the last one has ended: a machine has room for one of them beside the sampler."""
    before = context.training[:]
    context.training[:] = [trainer]
    for other in before:
        if other != trainer:
            context.cluster.end(other)
    return trainer


def _watching(context: RunContext, steps: list[TrainingStep]) -> Callable[[TrainingStep], None]:
    def on_step(step: TrainingStep) -> None:
        # A training whose worker died begins anew.
        del steps[step.step - 1 :]
        tokens = step.tokens - (steps[-1].tokens if steps else 0)
        steps.append(step)
        context.progress.advance(1, tokens=tokens, total=step.steps, loss=step.loss)

    return on_step
