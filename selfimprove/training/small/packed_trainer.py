"""TRL's `SFTTrainer` without the work that small models on short rows do not need.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from trl import SFTTrainer

from selfimprove.training.small.packing import PLAIN, pack, packed_attention

AttentionInterface.register("packed", packed_attention)


def packs(config: Any, max_length: int) -> bool:
    """Whether a model can take rows up to this length laid end to end."""
    return config.model_type in PLAIN and (getattr(config, "sliding_window", None) or max_length) >= max_length


class PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """Lays rows end to end, their shared beginning once, and computes logits at completion tokens only."""

    def __init__(self, **rest: Any) -> None:
        """Take over a float32 model whose attention is `packed`."""
        self._tokens = 0
        super().__init__(data_collator=pack, **rest)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Tensor | None = None) -> Any:
        """Mean cross-entropy over the completion tokens of the step, each times its weight where there are weights."""
        labels, tokens, weights = inputs.pop("labels")[0, 1:], inputs.pop("row_tokens"), inputs.pop("weights", None)
        scored = (labels != -100).nonzero()[:, 0]
        self._tokens += tokens if len(scored) else 0
        self._metrics["train"]["num_tokens"] = [self._tokens]
        causal = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        hidden = causal.model(**inputs, use_cache=False).last_hidden_state[0].index_select(0, scored)
        logits, targets = causal.lm_head(hidden).float(), labels[scored]
        if weights is None:
            total = F.cross_entropy(logits, targets, reduction="sum")
        else:
            total = (F.cross_entropy(logits, targets, reduction="none") * weights[0, 1:][scored]).sum()
        items = scored.new_tensor(len(scored)) if num_items_in_batch is None else num_items_in_batch
        return total / items
