"""What our trainers change in TRL's: weights in bfloat16 with float32 masters, and steps that are handed on instead of logged.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from selfimprove.training.master_weights import ALONE, MasterAdamW
from selfimprove.training.world import World


def computing_type() -> torch.dtype:
    """bfloat16 where the machine multiplies it fast, else float32."""
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def quiet_settings(scratch: str, seed: int) -> dict[str, Any]:
    """The training arguments of every trainer here: it writes, prints and reports nothing by itself."""
    return {
        "output_dir": scratch,
        "seed": seed % 2**32,
        "use_cpu": not torch.cuda.is_available(),
        # The trainer computes in bfloat16 by itself: no autocast.
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


class LeanLoop:
    """Mixed into one of TRL's trainers: weights in `dtype` with float32 masters.

    `on_step` is given, after each optimizer step, its number, how many there will be, and what the trainer measured (`loss`, `learning_rate`,
    `num_tokens` so far, and more); it says whether to go on.

    Where several processes train together, each goes through the same steps and takes its own rows of each. TRL is not told of it: accelerate would
    repeat rows where a step's do not come out even.
    """

    def __init__(self, *, dtype: torch.dtype, on_step: Callable[[int, int, dict[str, float]], bool], world: World = ALONE, **rest: Any) -> None:
        """Takes over a float32 model."""
        self._dtype, self._on_step, self._world = dtype, on_step, world
        self._masters: MasterAdamW | None = None
        super().__init__(**rest)
        if world.size > 1:
            trainer: Any = self
            collate = trainer.data_collator
            trainer.data_collator = lambda rows: collate(world.own(rows))

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with float32 masters, and every weight of the model in the computing type."""
        trainer: Any = self
        if self._masters is None:
            decaying = set(trainer.get_decay_parameter_names(trainer.model))
            trained = [(name, weight) for name, weight in trainer.model.named_parameters() if weight.requires_grad]
            groups = [
                {"params": [weight for name, weight in trained if name in decaying], "weight_decay": trainer.args.weight_decay},
                {"params": [weight for name, weight in trained if name not in decaying], "weight_decay": 0.0},
            ]
            betas = (trainer.args.adam_beta1, trainer.args.adam_beta2)
            self._masters = MasterAdamW(
                groups, self._dtype, lr=trainer.args.learning_rate, betas=betas, eps=trainer.args.adam_epsilon, world=self._world
            )
            trainer.optimizer = self._masters
            for weight in trainer.model.parameters():
                weight.data = weight.data.to(self._dtype)
        return trainer.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand on the figures of one step."""
        trainer: Any = self
        measured = {name: mean for name, values in trainer._metrics["train"].items() if (mean := _mean(values)) is not None}
        trainer._metrics["train"].clear()
        if "loss" not in logs:
            return
        measured |= logs
        if self._world.size > 1:
            shared = [name for name in ("loss", "num_tokens") if name in measured]
            added = self._world.total(torch.tensor([measured[name] for name in shared], dtype=torch.float64, device=trainer.args.device))
            measured |= dict(zip(shared, added.tolist(), strict=True))
        if not self._on_step(trainer.state.global_step, trainer.state.max_steps, measured):
            trainer.control.should_training_stop = True

    def _clip_grad_norm(self, model: Any) -> Tensor:
        assert self._masters is not None
        trainer: Any = self
        return self._masters.clip(trainer.args.max_grad_norm)


def _mean(values: Sequence[float]) -> float | None:
    """Of the values that are numbers; None where none is."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else None
