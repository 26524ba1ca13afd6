"""Leaves out of a micro-batch of GRPO what cannot change its gradient: padding, and rollouts without an advantage.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SUMMED = ("cispo", "dapo")
"""TRL's losses that are a sum over tokens, divided by the tokens of the whole step: a token of weight 0 has no part in it."""


def lean_rows(inputs: dict[str, Any], drop: bool) -> dict[str, Any]:
    """The inputs of TRL's loss without columns that are padding in every row.

    TRL pads all rows of a step to the longest, before it divides them into micro-batches.

    Args:
        inputs: tensors by TRL's names; those with two dimensions have a row for each rollout and a column for each token of prompt or completion.
        drop: whether rows with advantage 0 go too. One row stays, so that there is a loss.
    """
    advantages: Tensor = inputs["advantages"]
    rows = advantages.nonzero()[:, 0] if drop else torch.arange(len(advantages), device=advantages.device)
    if not len(rows):
        rows = inputs["completion_mask"].sum(1).argmin()[None]
    prompt, completion = (inputs[name][rows].any(0).nonzero()[:, 0] for name in ("prompt_mask", "completion_mask"))
    begin, end = int(prompt[0]), int(completion[-1]) + 1
    rest = {"prompt_ids": slice(begin, None), "prompt_mask": slice(begin, None)}
    lean = {}
    for name, value in inputs.items():
        of_rows = isinstance(value, Tensor) and value.dim() > 0 and len(value) == len(advantages)
        lean[name] = value[rows][:, rest.get(name, slice(end))] if of_rows and value.dim() == 2 else value[rows] if of_rows else value
    return lean
