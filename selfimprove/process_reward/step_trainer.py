"""transformers' `Trainer` on labels at the ends of thoughts, with soft labels and balanced classes.

Imports torch and transformers: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Trainer

from selfimprove.training.lean_loop import LeanLoop

Example = dict[str, Any]
"""`input_ids`; `positions` of the labelled thoughts' last tokens; their `labels`, 0 to 1."""


class StepTrainer(LeanLoop, Trainer):  # type: ignore[misc]
    """Binary cross-entropy at the labelled positions and nowhere else."""

    def __init__(self, *, positive_weight: float, **rest: Any) -> None:
        """Takes over a float32 token classifier of one label; `positive_weight` is what a good thought counts where a bad one counts 1."""
        self._tokens = 0
        self._positive = torch.tensor(positive_weight)
        self._metrics: dict[str, dict[str, list[float]]] = {"train": {}}
        super().__init__(data_collator=collate, **rest)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Tensor | None = None) -> Any:
        """Weighted mean over the labelled thoughts of the step."""
        self._tokens += int(inputs["attention_mask"].sum())
        self._metrics["train"]["num_tokens"] = [self._tokens]
        labels, positive = inputs.pop("labels"), self._positive.to(inputs["input_ids"].device)
        total = F.binary_cross_entropy_with_logits(logits_at(model, inputs), labels, pos_weight=positive, reduction="sum")
        return total / (positive * labels + 1 - labels).sum()


def collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """A batch padded on the right, where causal attention never looks: ids and mask [rows, longest], `slots` and `labels` [labelled thoughts].

    `slots` says where each labelled thought ends, counted through the padded batch.
    """
    longest = max(len(example["input_ids"]) for example in examples)
    rows = [example["input_ids"] + [0] * (longest - len(example["input_ids"])) for example in examples]
    mask = [[1] * len(example["input_ids"]) + [0] * (longest - len(example["input_ids"])) for example in examples]
    slots = [row * longest + position for row, example in enumerate(examples) for position in example["positions"]]
    labels = [label for example in examples for label in example["labels"]]
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask), "slots": torch.tensor(slots), "labels": torch.tensor(labels)}


def logits_at(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The float32 logits at the slots of a batch."""
    logits: Tensor = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
    return logits.flatten()[inputs["slots"]].float()


@torch.no_grad()
def all_logits(model: Any, examples: Sequence[Example], batch_size: int) -> Iterator[float]:
    """The logit of each labelled thought, in order."""
    model.eval()
    for start in range(0, len(examples), batch_size):
        batch = collate(examples[start : start + batch_size])
        yield from logits_at(model, {name: tensor.to(model.device) for name, tensor in batch.items()}).tolist()
