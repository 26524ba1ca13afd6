"""Whether a workflow's training fits into the memory of this machine's GPU, by the memory model."""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.memory import RUNTIME, USABLE, Engine, training_memory
from selfimprove.checkpoints.shape import read_shape
from selfimprove.training.sft import SFT
from selfimprove.training.trl.budget import GPU_TOKENS

GIB = 1 << 30
LORA_RANK = 8
"""Default rank of peft's `LoraConfig`."""


def training_room(trainer: SFT, model: Path, device: int | None) -> tuple[bool, str]:
    """Whether a step of this training fits into the memory of a device, and a line that says so.

    Args:
        trainer: How the model is trained.
        model: The folder of the model.
        device: Bytes of the GPU's memory; None without a GPU, where everything passes.
    """
    shape, rank = read_shape(model), None if trainer.lora is None else int(trainer.lora.get("r", LORA_RANK))
    if not (shape.vocab_size and shape.hidden_size and shape.num_hidden_layers):
        return True, "config.json does not tell the shape of the model, so the memory of training is not known"
    engine, gpus, tokens, parts = _way(trainer)
    chosen = trainer.activation_checkpointing
    again = (False,) if engine == "small" else (False, True) if chosen is None else (bool(chosen),)
    sizes = [training_memory(shape, engine, tokens, checkpointing=one, gpus=gpus, lora_rank=rank, parts=parts).peak + RUNTIME for one in again]
    fitting = [size for size in sizes if device is None or size <= USABLE * device]
    needed = (fitting or sizes[-1:])[0]
    told = f"training needs about {needed / GIB:,.1f} GiB of GPU memory with {tokens:,} tokens at once"
    told += " and activations computed again" if needed == sizes[-1] and again[-1] else ""
    told += f" on each of {gpus} GPUs" if gpus > 1 else ""
    if device is None:
        return True, f"{told}; there is no GPU here"
    told += f"; this GPU has {device / GIB:,.0f}"
    if fitting:
        return True, told
    bare = training_memory(shape, engine, 1, checkpointing=again[-1], gpus=gpus, lora_rank=rank).peak + RUNTIME
    if bare > USABLE * device:
        lighter = "set trainer.lora, or " if rank is None else ""
        return False, f"{told}, and the weights alone do not fit: {lighter}take a smaller base_model or more GPUs"
    fewer = "trainer.batch_size or trainer.max_length" if engine == "small" else "trainer.tokens_per_device or trainer.max_length"
    return False, f"{told}: lower {fewer}"


def _way(trainer: SFT) -> tuple[Engine, int, int, int]:
    """The engine, the number of GPUs, the tokens that each passes over at once, and in how many parts a step is computed."""
    step = trainer.batch_size * trainer.max_length
    if trainer.engine == "small":
        return "small", 1, step, 1
    most = max(trainer.max_length, trainer.tokens_per_device or GPU_TOKENS)
    own = -(-step // trainer.gpus)
    return "trl", trainer.gpus, min(most, own), -(-own // most)


def gpu_memory() -> int | None:
    """Bytes of the first GPU's memory; None without a GPU."""
    import torch

    return int(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else None
