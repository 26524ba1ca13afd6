"""The models of `python -m benchmarks.gpu`, with random weights, and how its steps are named."""

from __future__ import annotations

from pathlib import Path

from benchmarks.random_models import QWEN, SMALL, random_model, shape
from selfimprove.checkpoints.shape import Shape

COMMAND = "python -m benchmarks.gpu --only"
TINY = shape(64, 128, 2, 2, 1, vocabulary=49_152, tied=True)
SHAPES = {"135M": SMALL, "1.5B": QWEN["1.5B"]}


def model(name: str, folder: Path, small: bool) -> Path:
    """The folder of a random model, made once."""
    import torch

    of: Shape = TINY if small else SHAPES[name]
    return random_model(folder / ("tiny" if small else name), of, "cuda" if torch.cuda.is_available() else "cpu")
