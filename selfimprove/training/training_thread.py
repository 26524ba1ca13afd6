"""Runs a training to its checkpoint: the loop of TRL, which cannot be left and taken up again, works in a thread, and its steps are handed out."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import MappingProxyType
from typing import Any

from selfimprove.checkpoints.saving import save_checkpoint
from selfimprove.records import TrainingStep
from selfimprove.training.malloc import return_freed_memory

OnStep = Callable[[int, int, dict[str, float]], bool]
"""Takes a step's number, how many there will be, and what was measured, as `lean_loop.LeanLoop` gives them; says whether to go on."""


def run_training(
    fit: Callable[[OnStep], Any], start: Path, into: Path | None, threads: int | None, figures: Mapping[str, str] = MappingProxyType({})
) -> Iterator[TrainingStep]:
    """Each optimizer step of `fit` as soon as it is done; then the model that it returns is saved into `into`.

    Whoever closes the iterator early stops the training, and nothing is saved.

    Args:
        fit: trains, calls what it is given after each step, and returns the model.
        start: the folder whose tokenizer and chat template the checkpoint gets.
        into: the checkpoint's folder; None where another process saves the same weights.
        threads: that torch computes with; None: one for every core that the process may use.
        figures: what is kept of each step beside loss, learning rate and tokens: the name in `TrainingStep.figures`, and what TRL calls it.

    Raises:
        OSError: the checkpoint cannot be written; nothing is left of it.
    """
    queue: SimpleQueue[TrainingStep | BaseException | None] = SimpleQueue()
    stop, trained = Event(), []

    def on_step(step: int, steps: int, measured: dict[str, float]) -> bool:
        kept = {name: float(measured[theirs]) for name, theirs in figures.items() if theirs in measured}
        queue.put(TrainingStep(step, steps, measured["loss"], measured["learning_rate"], int(measured["num_tokens"]), kept))
        return not stop.is_set()

    def work() -> None:
        import torch

        try:
            # A new thread takes OpenMP's default, which Ray sets to what the actor reserves.
            torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
            trained.append(fit(on_step).to(torch.bfloat16))
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    thread = Thread(target=work, name="training", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
    model = trained.pop()
    if into is not None:
        save_checkpoint(model, start, into)
    del model
    gc.collect()
    return_freed_memory()
