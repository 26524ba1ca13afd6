"""TRL's `SFTTrainer` with a factor on the loss of each token.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from trl import SFTTrainer

Collate = Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]]


class WeightedSFTTrainer(SFTTrainer):  # type: ignore[misc]
    """Takes `weights` [rows, tokens] beside the labels. The loss is divided by the number of tokens, as without weights."""

    def __init__(self, **rest: Any) -> None:
        """Weigh what the model's forward pass returns: log-probabilities [rows, tokens - 1], which the loss is the negative sum of."""
        self._weights: Tensor | None = None
        super().__init__(**rest)
        self.model.register_forward_hook(self._weigh)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Tensor | None = None) -> Any:
        """As TRL computes it, of weighted tokens."""
        self._weights = inputs.pop("weights")
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _weigh(self, module: Any, arguments: Any, outputs: Any) -> Any:
        assert self._weights is not None
        outputs.log_probs = outputs.log_probs * self._weights[:, 1:]
        return outputs


def with_weights(collate: Collate, flat: bool) -> Collate:
    """The collator with the rows' weights in the form of its `input_ids`: end to end if `flat`, else padded on the right."""

    def collated(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        batch, weights = collate(rows), [torch.tensor(row["weights"]) for row in rows]
        batch["weights"] = torch.cat(weights)[None] if flat else torch.nn.utils.rnn.pad_sequence(weights, batch_first=True)
        assert batch["weights"].shape == batch["input_ids"].shape
        return batch

    return collated
