"""Whether a training step fits into a GPU without computing activations twice.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM

TRAINED_BYTES = 18
"""Per trained weight: float32 weight, gradient and two moments, and the bfloat16 copy that autocast makes."""
ACTIVATION_BYTES = 34
"""Per token, layer and hidden unit: Korthikanti et al. 2022, "Reducing activation recomputation in large transformer models", with attention that
keeps no weights."""
LOGIT_BYTES = 12
"""Per token and entry of the vocabulary: logits, their float32 copy and their gradient."""
SHARE = 0.8
"""Share of the GPU's memory that the estimate may fill."""


def needs_recomputing(folder: str, tokens: int, workers: int, frozen: bool) -> bool:
    """Whether a step probably takes more than the GPU's memory if all activations are kept. False without a GPU.

    Args:
        folder: the model's folder.
        tokens: tokens of one micro-batch.
        workers: workers over which weights and optimizer are spread.
        frozen: whether adapters are trained instead of the weights.
    """
    if not torch.cuda.is_available():
        return False
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with init_empty_weights():
        weights = AutoModelForCausalLM.from_config(config).num_parameters()
    text = config.get_text_config()
    kept = weights * (2 if frozen else TRAINED_BYTES) / workers
    step = tokens * (ACTIVATION_BYTES * text.hidden_size * text.num_hidden_layers + LOGIT_BYTES * text.vocab_size)
    return bool(kept + step > SHARE * torch.cuda.mem_get_info()[1])
