"""Train: rows in, a checkpoint out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.folders import describe_folder
from selfimprove.cluster.hand_over import hand_over
from selfimprove.protocols import Trainer, Worker
from selfimprove.records import AcceptedTrace, Checkpoint, JudgedTrace, RolloutRequest, Trace, TrainingStep
from selfimprove.seeds import derive_seed
from selfimprove.settings.paths import describe
from selfimprove.stages.context import RunContext
from selfimprove.storage.files import read_records
from selfimprove.storage.hashes import keep_hashes, require_folder_unchanged
from selfimprove.storage.keep import keep
from selfimprove.storage.manifest import digest
from selfimprove.storage.shards import JudgedShards

COMPARED = 256
"""Sequences of each kind that are compared before a training."""
TOO_LONG = "longer than trainer.max_length"
"""The reason for which rows are dropped before a training."""


def fitting(context: RunContext, start: Checkpoint, rows: Sequence[Any], folder: Path, trainer: Trainer | None = None) -> list[Any]:
    """The rows that are short enough to train on. Their places are kept in `folder/fitting.json`.

    `trainer` is None for the workflow's trainer.

    Raises:
        UserError: There are rows, and all are too long.
    """
    part = trainer or context.workflow.trainer
    made_from = {"rows": digest(rows), "tokenizer and chat template": start.tokenizer_hash, "trainer": digest([describe(part)])}

    def make() -> list[int]:
        return _fitting_places(context, hand_over(context.cluster, "trainer", part), start, rows) if rows else []

    return [rows[place] for place in keep(folder / "fitting.json", list[int], made_from, make)]


def _fitting_places(context: RunContext, trainer: Worker, start: Checkpoint, rows: Sequence[Any]) -> list[int]:
    places: list[int] = trainer.call("fitting", start, rows)
    if dropped := len(rows) - len(places):
        context.progress.say(f"{dropped} of {len(rows)} rows are left out: {TOO_LONG}")
    return places


def train(
    context: RunContext,
    start: Checkpoint,
    rows: Sequence[Any],
    folder: Path,
    name: str,
    label: str | None = None,
    *,
    generation: int = 1,
    trainer: Trainer | None = None,
    traces: JudgedShards | None = None,
    roll_out: Callable[[RolloutRequest], Sequence[JudgedTrace]] | None = None,
) -> tuple[Checkpoint, list[TrainingStep]]:
    """The checkpoint trained from `start` on these rows, and its optimizer steps.

    Args:
        rows: What the trainer trains on: accepted traces, pairs or prompts. Rows that are too long for the trainer are left out.
        folder: Gets `checkpoint/` and `training.json`, the steps.
        name: Id of the new checkpoint.
        label: Name of the stage in the progress display; None for the checkpoint's id.
        generation: The generation that the checkpoint belongs to.
        trainer: None for the workflow's trainer.
        traces: The sampled traces that the rows were made from. Where given, the trainer first shows that it reads the tokens that were sampled.
        roll_out: Samples and verifies the traces that the trainer asks for while it trains; None for a trainer that asks for none.

    Raises:
        UserError: The trainer reads other tokens than the sampler wrote, all rows are too long, or `folder` holds what other settings left.
    """
    part, into = trainer or context.workflow.trainer, folder / "checkpoint"
    seed = derive_seed(context.workflow.seed, "train", generation)
    made_from = {
        "rows": digest(rows),
        "weights": start.weights_hash,
        "tokenizer and chat template": start.tokenizer_hash,
        "trainer": digest([describe(part), seed]),
    }

    def make() -> list[TrainingStep]:
        if traces is not None:
            _require_agreement(context, start, rows, traces, part)
        steps: list[TrainingStep] = []
        worker = hand_over(context.cluster, "trainer", part)
        fits = [rows[place] for place in _fitting_places(context, worker, start, rows)]
        context.progress.begin(label or name, 0)
        on_step = _steps_into(context, steps)
        for several in worker.stream("train", [(start, fits, into, seed)]):
            context.run.check_store()
            for item in several:
                if isinstance(item, RolloutRequest):
                    assert roll_out is not None
                    rollouts = roll_out(item)
                    hand_over(context.cluster, "trainer", part).call("answer", item.number, rollouts)
                else:
                    on_step(item)
        context.progress.end()
        keep_hashes(into)
        return steps

    steps = keep(folder / "training.json", list[TrainingStep], made_from, make)
    context.run.settle()
    require_folder_unchanged(into)
    return describe_folder(into, name, start.id, generation), steps


def _require_agreement(context: RunContext, start: Checkpoint, rows: Sequence[Any], shards: JudgedShards, trainer: Trainer) -> None:
    """Let the trainer show that it reads what the sampler wrote: rows of this generation, and the bare question as the base evaluation asked it."""
    ours = {row.trace_id: row for row in rows if isinstance(row, AcceptedTrace) and row.completion_token_ids is not None}
    pairs = [(ours[item.trace.id], item.trace) for item in shards.read() if item.trace.id in ours]
    bare = {problem.id: context.workflow.prompter.messages(problem) for problem in context.eval_problems}
    first = context.run.generation(0) / "evaluation" / "traces" / "shard-00000.parquet"
    asked = [(bare[trace.problem_id], trace) for trace in read_records(first, Trace)] if first.exists() else []
    hand_over(context.cluster, "trainer", trainer).call("agreement", start, pairs[:COMPARED], asked[:COMPARED])


def _steps_into(context: RunContext, steps: list[TrainingStep]) -> Callable[[TrainingStep], None]:
    def on_step(step: TrainingStep) -> None:
        # A training whose worker died starts over.
        del steps[step.step - 1 :]
        tokens = step.tokens - (steps[-1].tokens if steps else 0)
        steps.append(step)
        context.progress.advance(1, tokens=tokens, total=step.steps, loss=step.loss)

    return on_step
