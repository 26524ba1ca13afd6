"""TRL's `DPOTrainer` on tokens as they were sampled.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """Takes rows of `prompt_ids`, `chosen_ids` and `rejected_ids`, as TRL's own tokenization would leave them."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


class PairCollator(DataCollatorForPreference):  # type: ignore[misc]
    """Leaves out the loss on the spans of ids in `chosen_forced` and `rejected_forced`."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One padded batch: the chosen completions, then the rejected ones."""
        batch: dict[str, Any] = super().torch_call(examples)
        for kind, first in (("chosen_forced", 0), ("rejected_forced", len(examples))):
            for row, example in enumerate(examples, start=first):
                for begin, end in example[kind]:
                    batch["completion_mask"][row, len(example["prompt_ids"]) + begin : len(example["prompt_ids"]) + end] = 0
        return batch
