"""Starts a job where it has to run: in this process for one worker, in Ray Train's workers for several."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfimprove.records import TrainingStep
from selfimprove.training.training_thread import OnStep, run_training
from selfimprove.training.trl.job import Job


def launch(job: Job, into: Path, *, threads: int | None = None) -> Iterator[TrainingStep]:
    """Train, yield each optimizer step as soon as it is done, then save the model into `into`.

    Closing the iterator early stops the training, and nothing is saved.

    Args:
        job: what is trained, and how.
        into: the folder of the checkpoint.
        threads: threads for torch; None: one for each core that the process may use.

    Raises:
        OSError: the checkpoint cannot be written; nothing is left of it.
    """
    yield from run_training(lambda on_step: _fit(job, on_step), job.folder, into, threads, job.figures)


def _fit(job: Job, on_step: OnStep) -> Any:
    """The trained model of the only worker."""
    from selfimprove.training.steps import watch
    from selfimprove.training.trl.arguments import shared_arguments

    with tempfile.TemporaryDirectory() as scratch:
        arguments = job.arguments(shared_arguments(scratch, job.seed), workers=1)
        trainer = job.trainer(job.load(), arguments)
        watch(trainer, on_step)
        trainer.train()
    return job.finish(trainer.model)
