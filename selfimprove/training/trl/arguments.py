"""Training arguments that all trainers share.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from typing import Any

import torch

from selfimprove.checkpoints.precision import computing_type


def shared_arguments(scratch: str, seed: int) -> dict[str, Any]:
    """bfloat16 autocast over float32 weights where the machine is fast at it, fused AdamW; nothing is saved, printed or reported by the trainer.

    Args:
        scratch: a folder for what the trainer writes while it runs.
        seed: of the order of the rows and of new weights.
    """
    return {
        "output_dir": scratch,
        "seed": seed % 2**32,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": computing_type() is torch.bfloat16,
        "optim": "adamw_torch_fused",
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
