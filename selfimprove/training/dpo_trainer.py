"""TRL's `DPOTrainer` on tokens as they were sampled.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from selfimprove.training.lean_loop import LeanLoop


class PairTrainer(LeanLoop, DPOTrainer):  # type: ignore[misc]
    """Takes rows of `prompt_ids`, `chosen_ids`, `rejected_ids`, and `chosen_forced` and `rejected_forced`, spans of ids that do not count."""

    def __init__(self, *, processing_class: Any, **rest: Any) -> None:
        """Takes over a float32 model."""
        padding = processing_class.eos_token_id if processing_class.pad_token_id is None else processing_class.pad_token_id
        super().__init__(processing_class=processing_class, data_collator=_Unforced(pad_token_id=padding), **rest)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


class _Unforced(DataCollatorForPreference):  # type: ignore[misc]
    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        for kind, first in (("chosen_forced", 0), ("rejected_forced", len(examples))):
            for row, example in enumerate(examples, start=first):
                for begin, end in example[kind]:
                    batch["completion_mask"][row, len(example["prompt_ids"]) + begin : len(example["prompt_ids"]) + end] = 0
        return batch
