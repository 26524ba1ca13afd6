"""How many tokens a worker computes at once, and which arguments follow from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfimprove.errors import UserError

GPU_TOKENS, CPU_TOKENS = 16_384, 2_048
"""Most tokens of one forward and backward pass by default."""
PLANNED = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "train_sampling_strategy")
"""Arguments that follow from the rows and the tokens of a pass."""


def tokens_at_once(tokens: int | None) -> int:
    """Most tokens of one forward and backward pass. None: 16,384 on a GPU, 2,048 on a CPU."""
    import torch

    return tokens or (GPU_TOKENS if torch.cuda.is_available() else CPU_TOKENS)


def refuse_planned(name: str, own: Mapping[str, Any]) -> None:
    """Refuse arguments that divide the steps in another way than `batch_size`, `epochs` and `tokens_per_device` of the part `name`.

    Raises:
        UserError: there is one.
    """
    if chosen := next((argument for argument in PLANNED if argument in own), None):
        raise UserError(f"{name} plans its batches itself: remove `{chosen}` from its options and set batch_size and tokens_per_device")


def recomputing(wanted: bool | None, start: str, tokens: int, workers: int, shared: Mapping[str, Any], frozen: bool = False) -> dict[str, Any]:
    """The arguments that have activations computed again in the backward pass, or none.

    Args:
        wanted: whether to; None: where a step would probably not fit otherwise.
        start: the folder of the model.
        tokens: tokens of one pass.
        workers: workers that train together.
        shared: arguments that all jobs on these workers have in common.
        frozen: whether only an adapter is trained.
    """
    from selfimprove.training.trl.memory import needs_recomputing

    if not (needs_recomputing(start, tokens, workers, frozen) if wanted is None else wanted):
        return {}
    # FSDP's own form of it does not gather the weights once more.
    return {"fsdp_config": {**shared["fsdp_config"], "activation_checkpointing": True}} if shared.get("fsdp") else {"gradient_checkpointing": True}
