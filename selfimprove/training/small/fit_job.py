"""Runs a job of `selfimprove.training.trl` with the optimizer of small models."""

from __future__ import annotations

import tempfile
from typing import Any

from selfimprove.training.training_thread import OnStep
from selfimprove.training.trl.job import Job


def fit_job(job: Job, on_step: OnStep) -> Any:
    """Train in this process, with weights in bfloat16 and float32 masters, and return the model to save.

    `on_step` is called after each optimizer step.
    """
    from selfimprove.training.small.lean_loop import fit, quiet_settings

    with tempfile.TemporaryDirectory() as scratch:
        arguments = job.arguments(quiet_settings(scratch, job.seed), workers=1)
        return job.finish(fit(job.trainer(job.load(), arguments), on_step))
