"""Loads models for training, with the attention and the kernels that this machine has.

Imports torch: to be imported where training runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME
from transformers.utils.import_utils import is_flash_attn_2_available, is_flash_attn_3_available, is_kernels_available

from selfimprove.checkpoints.precision import computing_type
from selfimprove.training.trl import varlen

FLAT = frozenset(
    {"cohere", "gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "starcoder2"}
)
"""Model types in which attention alone mixes tokens, and keeps rows laid end to end apart by their positions. Others get padded rows."""


def load_causal_lm(folder: str, *, empty: bool = False, frozen: bool = False, padded: bool = False, **options: Any) -> Any:
    """A causal language model in main memory, in float32, which the optimizer needs.

    Args:
        folder: the model's folder.
        empty: leave the weights without values. They take no memory before they get some.
        frozen: whether the weights are not trained themselves, but adapters on them. Those need no more precision than the computing type.
        padded: whether rows are padded, not laid end to end.
        options: passed to `from_pretrained`, over what is chosen here.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    ours: dict[str, Any] = {"dtype": computing_type() if frozen else torch.float32, "attn_implementation": attention(config, padded)}
    if torch.cuda.is_available() and is_kernels_available():
        ours["use_kernels"] = True
    if not empty:
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **{**ours, **options})
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=ours["dtype"], attn_implementation=ours["attn_implementation"])
    # Accelerate tells weights apart by their addresses, which those on the device `meta` lack.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    model.tie_weights()
    if (Path(folder) / GENERATION_CONFIG_NAME).exists():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model


def attention(config: Any, padded: bool = False) -> str | None:
    """Flash attention if a package for it is installed, else torch's for rows of different lengths, else (None) what transformers chooses.

    Torch's for rows of different lengths does not take padded rows.
    """
    if not torch.cuda.is_available() or computing_type() is not torch.bfloat16:
        return None
    if is_flash_attn_3_available():
        return "flash_attention_3"
    if is_flash_attn_2_available():
        return "flash_attention_2"
    return varlen.NAME if not padded and config.model_type in varlen.PLAIN and torch.cuda.get_device_capability() >= (8, 0) else None


def lies_flat(config: Any, chosen: str | None = None) -> bool:
    """Whether a model takes rows laid end to end without padding, and gains by it.

    Attention with a mask looks at all pairs of tokens of a micro-batch. On a CPU micro-batches are small enough for that.

    Args:
        config: the model's configuration.
        chosen: attention that the user chose; None: what `attention` chooses.
    """
    return config.model_type in FLAT and (not torch.cuda.is_available() or (chosen or attention(config)) not in (None, "sdpa", "eager"))
