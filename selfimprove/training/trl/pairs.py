"""Batches of pairs for TRL's `DPOTrainer`, with the tokens as they were sampled.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trl.trainer.dpo_trainer import DataCollatorForPreference

TEXT = {"prompt": "", "chosen": "", "rejected": ""}
"""`DPOTrainer` always tokenizes these columns. They are empty, and the collator takes its tokens from the column `pair`."""


@dataclass(frozen=True)
class PairCollator:
    """TRL's collator on the tokens of the column `pair`. Forced tokens get no loss."""

    pad_token_id: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One padded batch: the chosen completions, then the rejected ones."""
        pairs = [row["pair"] for row in rows]
        # TRL adds the log-probabilities of the reference to the rows if it computes them before the first step.
        batch: dict[str, Any] = DataCollatorForPreference(self.pad_token_id)([{**row, **pair} for row, pair in zip(rows, pairs, strict=True)])
        for kind, first in (("chosen_forced", 0), ("rejected_forced", len(rows))):
            for place, pair in enumerate(pairs, start=first):
                for begin, end in pair[kind]:
                    batch["completion_mask"][place, len(pair["prompt_ids"]) + begin : len(pair["prompt_ids"]) + end] = 0
        return batch
