"""On-policy distillation into a small model, in one process."""

from __future__ import annotations

import tempfile
from typing import Any

from selfimprove.training.training_thread import OnStep


def fit_small_student(start: str, teacher: str, chats: list[dict[str, Any]], arguments: dict[str, Any], seed: int, on_step: OnStep) -> Any:
    """The trained student.

    Args:
        start: the folder of the student.
        teacher: the folder of the teacher.
        chats: each has its messages as `prompt`.
        arguments: arguments of TRL's `DistillationConfig`.
        seed: of the order of the chats and of the completions.
        on_step: called after each optimizer step.
    """
    from transformers import AutoModelForCausalLM
    from trl import DistillationConfig

    from selfimprove.training.small.lean_loop import fit, quiet_settings
    from selfimprove.training.trl.distillation import distillation_trainer

    student = AutoModelForCausalLM.from_pretrained(start, dtype="float32", local_files_only=True)
    with tempfile.TemporaryDirectory() as scratch:
        settings = DistillationConfig(**{**quiet_settings(scratch, seed), **arguments})
        return fit(distillation_trainer(student, settings, start, teacher, chats), on_step)
