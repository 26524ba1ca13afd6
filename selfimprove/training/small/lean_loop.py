"""Runs one of TRL's trainers with weights in bfloat16 and float32 masters, and hands on its steps.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch

from selfimprove.checkpoints.precision import computing_type
from selfimprove.training.small.master_weights import MasterAdamW
from selfimprove.training.steps import watch
from selfimprove.training.training_thread import OnStep


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


def fit(trainer: Any, on_step: OnStep) -> Any:
    """Train to the end and return the model.

    Args:
        trainer: a trainer of TRL or transformers with a float32 model.
        on_step: called after each optimizer step.
    """
    masters = _masters(trainer)
    trainer.optimizer = masters
    # The masters clip while they step; accelerate would go over all gradients once more.
    trainer.accelerator.clip_grad_norm_ = lambda _, longest: masters.clip(longest)
    watch(trainer, on_step)
    trainer.train()
    return trainer.model


def _masters(trainer: Any) -> MasterAdamW:
    """AdamW with float32 masters. Every weight of the model is cast to the computing type."""
    args, dtype = trainer.args, computing_type()
    decaying = set(trainer.get_decay_parameter_names(trainer.model))
    trained = [(name, weight) for name, weight in trainer.model.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for name, weight in trained if name in decaying], "weight_decay": args.weight_decay},
        {"params": [weight for name, weight in trained if name not in decaying], "weight_decay": 0.0},
    ]
    masters = MasterAdamW(groups, dtype, lr=args.learning_rate, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon)
    for weight in trainer.model.parameters():
        weight.data = weight.data.to(dtype)
    return masters
