"""What transformers' `Trainer` needs to learn soft labels at the ends of thoughts, with balanced classes.

Imports torch and transformers: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Trainer

Example = dict[str, Any]
"""`input_ids`; `positions`, the last tokens of the labelled thoughts; `labels` of these thoughts, 0 to 1."""

NONE = -100.0
"""The label where there is none."""


@dataclass(frozen=True)
class Weights:
    """A good thought weighs `positive`, a bad one 1, and one in between the mean of both."""

    positive: float

    def total(self, labels: Tensor) -> Tensor:
        """The weight of all these labels."""
        positive = torch.tensor(self.positive, device=labels.device)
        return (positive * labels + 1 - labels).sum()

    def loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        """Binary cross-entropy at the labelled positions and nowhere else: the part of these rows in the weighted mean over their step.

        Args:
            outputs: of a token classifier with one label.
            labels: as `StepCollator` makes them.
            num_items_in_batch: not used, because labels do not weigh the same.
        """
        scored = labels[..., 0] != NONE
        positive = torch.tensor(self.positive, device=labels.device)
        logits = outputs.logits[..., 0][scored].float()
        total = F.binary_cross_entropy_with_logits(logits, labels[..., 0][scored], pos_weight=positive, reduction="sum")
        return total / labels[0, 0, 1]


@dataclass(frozen=True)
class StepCollator:
    """Batches of `input_ids`, `attention_mask` [rows, longest] and `labels` [rows, longest, 2]: the label or `NONE`, and the weight of the step.

    Trainer hands nothing but the labels to a loss function, so they carry the weight of all labels of the step that the rows belong to.
    """

    weights: Weights

    def __call__(self, rows: Sequence[Example], weight: Tensor | None = None) -> dict[str, Tensor]:
        """One batch. `weight` is that of the step; None: the rows are the whole step."""
        batch = collate(rows)
        label = batch.pop("labels")
        weight = self.weights.total(label[label != NONE]) if weight is None else weight
        return {**batch, "labels": torch.stack([label, weight.expand_as(label)], dim=-1)}


def collate(rows: Sequence[Example]) -> dict[str, Tensor]:
    """Ids, mask and labels [rows, longest], padded on the right, where causal attention never looks."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), NONE)
    for place, row in enumerate(rows):
        ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        mask[place, : len(row["input_ids"])] = 1
        labels[place, row["positions"]] = torch.tensor(row["labels"])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def step_trainer(model: Any, arguments: Any, weights: Weights, rows: Sequence[Any], collator: Any) -> Trainer:
    """transformers' `Trainer` with this loss."""
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator, compute_loss_func=weights.loss)


@torch.no_grad()
def all_logits(model: Any, examples: Sequence[Example], rows_at_once: int) -> Iterator[float]:
    """The logit of each labelled thought, in order."""
    model.eval()
    for start in range(0, len(examples), rows_at_once):
        batch = {name: tensor.to(model.device) for name, tensor in collate(examples[start : start + rows_at_once]).items()}
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits[..., 0]
        yield from logits[batch["labels"] != NONE].float().tolist()
