"""Whether a training step fits into a GPU without computing activations twice."""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.memory import RUNTIME, USABLE, training_memory
from selfimprove.checkpoints.shape import read_shape

RANK = 16
"""Rank of an adapter for the estimate; other ranks change little."""


def needs_recomputing(folder: str, tokens: int, workers: int, frozen: bool) -> bool:
    """Whether a step probably takes more than the GPU's memory if all activations are kept. False without a GPU.

    Args:
        folder: the model's folder.
        tokens: tokens of one micro-batch.
        workers: workers over which weights and optimizer are spread.
        frozen: whether adapters are trained instead of the weights.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    shape, rank = read_shape(Path(folder)), RANK if frozen else None
    size = training_memory(shape, "trl", tokens, gpus=workers, lora_rank=rank, parts=2).peak + RUNTIME
    return bool(size > USABLE * torch.cuda.mem_get_info()[1])
