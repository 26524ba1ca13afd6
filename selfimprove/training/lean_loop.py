"""Runs one of TRL's trainers with weights in bfloat16 and float32 masters, and hands on its steps.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from selfimprove.training.master_weights import ALONE, MasterAdamW
from selfimprove.training.training_thread import OnStep
from selfimprove.training.world import World


def computing_type() -> torch.dtype:
    """bfloat16 where the machine multiplies it fast, else float32."""
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


def quiet_settings(scratch: str, seed: int) -> dict[str, Any]:
    """Training arguments that all trainers share: nothing is saved, printed or reported by TRL itself."""
    return {
        "output_dir": scratch,
        "seed": seed % 2**32,
        "use_cpu": not torch.cuda.is_available(),
        # The weights are in bfloat16 already: no autocast.
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def fit(trainer: Any, on_step: OnStep, world: World = ALONE) -> Any:
    """Train to the end and return the model.

    Where several processes train together, each goes through the same steps and takes its own rows of each. TRL does not know about the others:
    accelerate would repeat rows to fill an uneven step.

    Args:
        trainer: a trainer of TRL or transformers with a float32 model.
        on_step: called after each optimizer step.
        world: the place of this process among those that train together.
    """
    masters = _masters(trainer, world)
    trainer.optimizer = masters
    # The masters clip while they step; accelerate would go over all gradients once more.
    trainer.accelerator.clip_grad_norm_ = lambda _, longest: masters.clip(longest)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Steps(on_step, world))
    if world.size > 1:
        collate = trainer.data_collator
        trainer.data_collator = lambda rows: collate(world.own(rows))
    trainer.train()
    return trainer.model


def _masters(trainer: Any, world: World) -> MasterAdamW:
    """AdamW with float32 masters. Every weight of the model is cast to the computing type."""
    args, dtype = trainer.args, computing_type()
    decaying = set(trainer.get_decay_parameter_names(trainer.model))
    trained = [(name, weight) for name, weight in trainer.model.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for name, weight in trained if name in decaying], "weight_decay": args.weight_decay},
        {"params": [weight for name, weight in trained if name not in decaying], "weight_decay": 0.0},
    ]
    masters = MasterAdamW(groups, dtype, lr=args.learning_rate, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon, world=world)
    for weight in trainer.model.parameters():
        weight.data = weight.data.to(dtype)
    return masters


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Hands on what the trainer logs after each step, and stops the training when told to."""

    def __init__(self, on_step: OnStep, world: World) -> None:
        self._on_step, self._world = on_step, world

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float | None] | None = None, **_: Any) -> None:
        measured = {name: value for name, value in (logs or {}).items() if value is not None}
        # The last log of a training sums it up and belongs to no step.
        if "loss" not in measured:
            return
        if self._world.size > 1:
            shared = [name for name in ("loss", "num_tokens") if name in measured]
            added = self._world.total(torch.tensor([measured[name] for name in shared], dtype=torch.float64, device=args.device))
            measured |= dict(zip(shared, added.tolist(), strict=True))
        if not self._on_step(state.global_step, state.max_steps, measured):
            control.should_training_stop = True
