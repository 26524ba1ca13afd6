"""Measure drift: how a fixed text reads to a checkpoint, and how far its predictions there are from the base model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfimprove.cluster.hand_over import hand_over, left_on_gpu
from selfimprove.errors import UserError
from selfimprove.protocols import Trainer
from selfimprove.records import Checkpoint, Drift, Stage
from selfimprove.records.foreign_text import read_object
from selfimprove.stages.context import RunContext
from selfimprove.storage.keep import keep
from selfimprove.storage.stopwatch import Stopwatch
from selfimprove.training.drift_text import DriftReader


class _Unmeasured(Exception):
    """Why there is no figure."""


def measure_drift(context: RunContext, checkpoint: Checkpoint, folder: Path, trainer: Trainer, watch: Stopwatch) -> Drift | None:
    """The drift of a checkpoint on the text of `Workflow.drift`; None, and a line that says why, where it cannot be measured.

    It is computed by the trainer's worker, on its GPU, or by a `DriftReader` in its place. No gate sees it.

    Args:
        folder: Gets `drift.json`.
        trainer: The trainer that is open, or will be.
        watch: Gets the time, as `Stage.DRIFT`, and what is left on the GPU.
    """
    base = context.base
    # Of a base model that cannot be measured it was said once.
    if context.workflow.drift is None or (checkpoint.id != base.id and not _of_transformers(base)):
        return None
    text, text_hash = context.workflow.drift.read()
    made_from = {
        "base model": base.weights_hash,
        "weights": checkpoint.weights_hash,
        "tokenizer and chat template": checkpoint.tokenizer_hash,
        "drift text": text_hash,
    }

    def make() -> Drift:
        found = None
        context.progress.begin(f"{f'generation {checkpoint.generation}' if checkpoint.generation else 'base model'}, drift", 1)
        for part in (trainer, DriftReader(trainer)):
            worker = hand_over(context.cluster, "trainer", part, same_weights=checkpoint.id == base.id)
            for items in worker.stream("drift", [(base, checkpoint, text, text_hash)]):
                for found in items:
                    tokens = found if isinstance(found, int) else 0
                    context.progress.advance(0 if tokens else 1, tokens=tokens)
            if found is not None:
                break
        context.progress.end()
        watch.note_left(Stage.DRIFT, left_on_gpu(context.cluster, "trainer"))
        if not isinstance(found, Drift):
            raise _Unmeasured(found)
        return found

    try:
        _require_transformers(checkpoint)
        with watch.time(Stage.DRIFT):
            return keep(folder / "drift.json", Drift, made_from, make)
    except _Unmeasured as why:
        context.progress.say(f"the drift of {checkpoint.id} is not measured: {why}")
        return None


def require_same_text(context: RunContext) -> None:
    """Refuse a text other than the one that generations of the run were measured on: the figures could not be compared.

    Raises:
        UserError: It is another.
    """
    part = context.workflow.drift
    if part is None:
        return
    complete = filter(None, map(context.run.report, context.run.generations()))
    if measured := [one.generation for one in complete if one.drift and one.drift.text_hash != part.read()[1]]:
        shown = part.file or "the one that comes with the package"
        raise UserError(f"the drift text is {shown}, but generation {measured[0]} was measured on another; put that back, or set drift=None")


def _require_transformers(checkpoint: Checkpoint) -> None:
    """Raise `_Unmeasured` for a folder that transformers would not know, before anything is loaded for it."""
    if not _of_transformers(checkpoint):
        raise _Unmeasured(f"{checkpoint.path} holds no transformers model: its config.json names no model_type")


def _of_transformers(checkpoint: Checkpoint) -> bool:
    config: dict[str, Any] = read_object(Path(checkpoint.path) / "config.json")
    return "model_type" in config
