"""LoRA adapters, by peft."""

from __future__ import annotations

from typing import Any


def with_adapter(model: Any, lora: dict[str, Any] | None, seed: int) -> Any:
    """The model with a new adapter, whose weights alone are trained; the model itself if `lora` is None.

    Args:
        model: a causal language model.
        lora: arguments of peft's `LoraConfig`.
        seed: of the adapter's first weights.
    """
    if lora is None:
        return model
    import torch
    from peft import LoraConfig, get_peft_model  # type: ignore[import-not-found, unused-ignore]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora))
