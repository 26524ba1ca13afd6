"""Runs a training to its checkpoint. TRL's loop cannot be paused, so it runs in a thread that hands out its steps."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import MappingProxyType
from typing import Any

from selfimprove.checkpoints.saving import save_checkpoint
from selfimprove.records import TrainingStep
from selfimprove.training.malloc import return_freed_memory
from selfimprove.training.rollout_exchange import RolloutExchange

OnStep = Callable[[int, int, dict[str, float]], bool]
"""Takes the number of a step, the number of steps in all, and TRL's figures (`loss`, `learning_rate`, `num_tokens` so far, and more). Returns whether
to go on."""


def as_step(step: int, steps: int, measured: Mapping[str, float], figures: Mapping[str, str]) -> TrainingStep:
    """The record of a step from what TRL measured; `figures` maps names in `TrainingStep.figures` to TRL's."""
    kept = {name: float(measured[theirs]) for name, theirs in figures.items() if theirs in measured}
    return TrainingStep(step, steps, measured["loss"], measured["learning_rate"], int(measured["num_tokens"]), kept)


def run_training(
    fit: Callable[[OnStep], Any],
    start: Path,
    into: Path,
    threads: int | None,
    figures: Mapping[str, str] = MappingProxyType({}),
    exchange: RolloutExchange | None = None,
) -> Iterator[Any]:
    """Yield each optimizer step of `fit` as soon as it is done, then save the model into `into`.

    Closing the iterator early stops the training, and nothing is saved.

    Args:
        fit: trains, calls its argument after each step, and returns the model.
        start: the folder whose tokenizer and chat template the checkpoint gets.
        into: the folder of the checkpoint.
        threads: threads for torch; None: one for each core that the process may use.
        figures: figures to keep of each step, besides loss, learning rate and tokens: names in `TrainingStep.figures`, with TRL's names for them.
        exchange: where `fit` asks for rollouts: the requests are yielded between the steps. None where it asks for none.

    Raises:
        OSError: the checkpoint cannot be written; nothing is left of it.
    """
    queue: SimpleQueue[Any] = exchange.out if exchange else SimpleQueue()
    stop, trained = Event(), []

    def on_step(step: int, steps: int, measured: dict[str, float]) -> bool:
        queue.put(as_step(step, steps, measured, figures))
        return not stop.is_set()

    def work() -> None:
        import torch

        try:
            # A new thread starts with OpenMP's default, which Ray sets to the cores that the actor reserves.
            torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
            trained.append(fit(on_step).to(torch.bfloat16))
            queue.put(None)
        except BaseException as error:
            # Its frames would keep the model for as long as anybody keeps the error.
            traceback.clear_frames(error.__traceback__)
            queue.put(error)

    thread = Thread(target=work, name="training", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
        save_checkpoint(trained[0], start, into)
    finally:
        stop.set()
        if exchange:
            exchange.close()
        thread.join()
        # Whoever uses the GPU next finds it empty, also after an error.
        trained.clear()
        return_freed_memory()
