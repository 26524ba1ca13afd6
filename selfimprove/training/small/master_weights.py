"""AdamW with bfloat16 weights and float32 masters: a bfloat16 weight cannot represent steps of 1e-4.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class MasterAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) on float32 masters of weights that the model holds in `dtype`.

    It takes over float32 parameters: each becomes the rounded copy of a master kept here. Each weight is updated and rounded while it is in the CPU
    cache. Per parameter it takes 16 bytes: 2 for the weight, 2 for its gradient, 4 for the master, 8 for the moments.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], dtype: torch.dtype, *, lr: float, betas: tuple[float, float], eps: float) -> None:
        """Take over parameter groups, each with its `weight_decay`."""
        super().__init__(list(groups), {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self._divisor: Tensor | None = None
        # Not in `self.state`: accelerate reloads that when it wraps an optimizer, and reloading casts it to the type of the weights.
        self._kept: dict[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        for parameter in (parameter for group in self.param_groups for parameter in group["params"]):
            master = parameter.data.float()
            self._kept[parameter] = master, torch.zeros_like(master), torch.zeros_like(master), torch.tensor(0.0, device=master.device)
            parameter.data = parameter.data.to(dtype)

    def clip(self, longest: float) -> Tensor:
        """Have the next step clip the norm of the whole gradient to `longest`. Returns the norm before clipping."""
        length = torch.nn.utils.get_total_norm([p.grad for p in self._kept if p.grad is not None]).float()
        self._divisor = (length / longest).clamp(min=1.0)
        return length

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the masters from the gradients, then the weights from the masters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        self._divisor = None

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        master, first, second, steps = self._kept[parameter]
        gradient = parameter.grad
        assert gradient is not None
        adamw(
            [master],
            [gradient.float()],
            [first],
            [second],
            [],
            [steps],
            fused=True,
            grad_scale=self._divisor,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        parameter.copy_(master)
