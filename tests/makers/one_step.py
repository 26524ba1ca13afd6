"""The gradient of a training's only step, from the weights after plain descent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from selfimprove.training.trl.job import Job

DESCENT: dict[str, Any] = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "lr_scheduler_type": "constant", "max_steps": 1, "bf16": False}
"""Arguments of a trainer with which its weights lose their gradient."""


def common(model: Path, batch_size: int, own: dict[str, Any], tokens: int) -> dict[str, Any]:
    """What jobs of all kinds have."""
    return {"start": str(model), "batch_size": batch_size, "own": own, "tokens": tokens, "activation_checkpointing": None, "seed": 0}


def descend(job: Job) -> tuple[Tensor, dict[str, float]]:
    """The gradient of all weights of a job with these arguments, and what its trainer measured."""
    import torch

    from selfimprove.training.trl.launch import fit_here

    steps: list[dict[str, float]] = []
    after = dict(fit_here(job, lambda step, all_steps, measured: not steps.append(measured)).named_parameters())  # type: ignore[func-returns-value]
    (measured,) = steps
    return torch.cat([(weight - after[name]).detach().flatten() for name, weight in job.load().named_parameters()]), measured


def assert_same(part: tuple[Tensor, dict[str, float]], whole: tuple[Tensor, dict[str, float]], *figures: str) -> None:
    """The gradients are equal and not zero, and so are these figures."""
    assert whole[0].norm() > 1e-3 and (part[0] - whole[0]).norm() < 1e-5 * whole[0].norm() + 1e-6
    for name in ("loss", "num_tokens", *figures):
        assert abs(part[1][name] - whole[1][name]) < 1e-6
