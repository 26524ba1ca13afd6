"""Preference optimization of a small model, in one process."""

from __future__ import annotations

import tempfile
from typing import Any

from selfimprove.training.training_thread import OnStep


def fit_small_pairs(start: str, pairs: list[dict[str, Any]], arguments: dict[str, Any], seed: int, on_step: OnStep) -> Any:
    """The trained model.

    Args:
        start: the folder of the model, which is the reference too.
        pairs: as `PairCollator` takes them.
        arguments: arguments of TRL's `DPOConfig`.
        seed: of the order of the pairs.
        on_step: called after each optimizer step.
    """
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig

    from selfimprove.checkpoints.precision import computing_type
    from selfimprove.training.small.lean_loop import fit, quiet_settings
    from selfimprove.training.trl.dpo import dpo_trainer

    model = AutoModelForCausalLM.from_pretrained(start, dtype="float32", local_files_only=True)
    # In the computing type, so that the two models agree at the first step.
    reference = AutoModelForCausalLM.from_pretrained(start, dtype=computing_type(), local_files_only=True)
    with tempfile.TemporaryDirectory() as scratch:
        settings = DPOConfig(**{**quiet_settings(scratch, seed), **arguments})
        return fit(dpo_trainer(model, reference, settings, start, pairs, list(range(len(pairs)))), on_step)
