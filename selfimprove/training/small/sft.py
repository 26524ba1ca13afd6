"""Supervised fine-tuning of a small model of a plain kind, in one process."""

from __future__ import annotations

import tempfile
from typing import Any

from selfimprove.training.adapters import with_adapter
from selfimprove.training.training_thread import OnStep


def fit_small(
    start: str,
    tokenizer: Any,
    examples: list[dict[str, Any]],
    arguments: dict[str, Any],
    lora: dict[str, Any] | None,
    seed: int,
    on_step: OnStep,
) -> Any:
    """The trained model.

    Args:
        start: the folder of a model that `packs` allows.
        tokenizer: its tokenizer.
        examples: `input_ids` of each row, and `labels` of the same length with -100 where no loss is taken; in all rows or none also `weights`,
            factors on the loss.
        arguments: arguments of TRL's `SFTConfig`.
        lora: arguments of peft's `LoraConfig`; None trains all weights.
        seed: of the order of the rows and of new weights.
        on_step: called after each optimizer step.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig

    from selfimprove.training.small.lean_loop import fit, quiet_settings
    from selfimprove.training.small.packed_trainer import PackedTrainer

    model = AutoModelForCausalLM.from_pretrained(start, dtype="float32", attn_implementation="packed", local_files_only=True)
    # transformers would remove a column that its trainers do not know.
    known = {"remove_unused_columns": False} if "weights" in examples[0] else {}
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PackedTrainer(
            model=with_adapter(model, lora, seed),
            args=SFTConfig(**{**quiet_settings(scratch, seed), "dataset_kwargs": {"skip_prepare_dataset": True}, **known, **arguments}),
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
        )
        trained = fit(trainer, on_step)
    return trained.merge_and_unload() if lora is not None else trained
