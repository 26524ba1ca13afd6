"""Starts a job where it has to run: in this process for one worker, in Ray Train's workers for several."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfimprove.records import TrainingStep
from selfimprove.training.training_thread import OnStep, run_training
from selfimprove.training.trl.job import Job
from selfimprove.training.trl.ray_train import train_on_workers
from selfimprove.training.trl.workers import Workers

ALONE = Workers()


def launch(job: Job, into: Path, workers: Workers = ALONE, threads: int | None = None) -> Iterator[TrainingStep]:
    """Train, yield each optimizer step as soon as it is done, then save the model into `into`.

    Closing the iterator early stops the training, and nothing is saved.

    Args:
        job: what is trained, and how.
        into: the folder of the checkpoint.
        workers: where it is trained. One worker is this process.
        threads: threads of each worker for torch; None: the cores that the process may use, divided among the workers of a node.

    Raises:
        OSError: the checkpoint cannot be written; nothing is left of it.
    """
    if workers.count > 1:
        yield from train_on_workers(job, into, workers, threads)
    else:
        yield from run_training(lambda on_step: fit_here(job, on_step), job.folder, into, threads, job.figures)


def fit_here(job: Job, on_step: OnStep) -> Any:
    """Train in this process and return the model to save. `on_step` is called after each optimizer step."""
    from selfimprove.training.steps import watch
    from selfimprove.training.trl.arguments import shared_arguments

    with tempfile.TemporaryDirectory() as scratch:
        trainer = job.trainer(job.load(), job.arguments(shared_arguments(scratch, job.seed), workers=1))
        watch(trainer, on_step)
        trainer.train()
    return job.finish(trainer.model)
