"""Batches of pairs for TRL's `DPOTrainer`, with the tokens as they were sampled.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_trainer import DataCollatorForPreference


def pair_rows(places: Sequence[int]) -> Dataset:
    """A dataset of pairs, by their places in a `PairCollator`. `DPOTrainer` tokenizes the texts of every dataset; here they are empty."""
    return Dataset.from_list([{"prompt": "", "chosen": "", "rejected": "", "place": place} for place in places])


@dataclass(frozen=True)
class PairCollator:
    """TRL's collator on these pairs instead of what TRL has tokenized. Forced tokens get no loss."""

    pairs: Sequence[dict[str, Any]]
    """`prompt_ids`, `chosen_ids`, `rejected_ids`; `chosen_forced` and `rejected_forced`, the spans of ids without loss."""
    pad_token_id: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One padded batch: the chosen completions, then the rejected ones."""
        pairs = [self.pairs[row["place"]] for row in rows]
        # Rows may have log-probabilities of the reference, which TRL has computed before the first step.
        batch: dict[str, Any] = DataCollatorForPreference(self.pad_token_id)([{**row, **pair} for row, pair in zip(rows, pairs, strict=True)])
        for kind, first in (("chosen_forced", 0), ("rejected_forced", len(rows))):
            for place, pair in enumerate(pairs, start=first):
                for begin, end in pair[kind]:
                    batch["completion_mask"][place, len(pair["prompt_ids"]) + begin : len(pair["prompt_ids"]) + end] = 0
        return batch
