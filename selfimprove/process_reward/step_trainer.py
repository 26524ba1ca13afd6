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

Example = dict[str, Any]
"""`input_ids`; `positions`, the last tokens of the labelled thoughts; `labels` of these thoughts, 0 to 1."""


class StepTrainer(Trainer):  # type: ignore[misc]
    """Binary cross-entropy at the labelled positions and nowhere else."""

    def __init__(self, *, positive_weight: float, **rest: Any) -> None:
        """Take over a float32 token classifier of one label. A good thought weighs `positive_weight`, a bad one 1."""
        self._tokens = 0
        self._positive = torch.tensor(positive_weight)
        super().__init__(data_collator=collate, **rest)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Tensor | None = None) -> Any:
        """Weighted mean over the labelled thoughts of the step."""
        self._tokens += int(inputs["attention_mask"].sum())
        labels, positive = inputs.pop("labels"), self._positive.to(inputs["input_ids"].device)
        total = F.binary_cross_entropy_with_logits(logits_at(model, inputs), labels, pos_weight=positive, reduction="sum")
        return total / (positive * labels + 1 - labels).sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the number of tokens trained on so far, as TRL's trainers do."""
        super().log({**logs, "num_tokens": self._tokens}, start_time)


def collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """A batch padded on the right, where causal attention never looks: ids and mask [rows, longest], `slots` and `labels` [labelled thoughts].

    `slots` are the ends of the labelled thoughts in the flattened batch.
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
