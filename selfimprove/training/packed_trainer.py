"""TRL's `SFTTrainer` without the work that small models on short rows do not need.

Imports TRL: to be imported where training runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface
from trl import SFTTrainer

from selfimprove.training.master_weights import MasterAdamW
from selfimprove.training.packing import pack, packed_attention

PLAIN = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types whose layers are causal attention and nothing else that mixes tokens, and whose logits are the head's output as it is."""

AttentionInterface.register("packed", packed_attention)


def packs(config: Any, max_length: int) -> bool:
    """Whether rows up to this length may be laid end to end for a model: TRL's own padded batches and loss serve the others."""
    return config.model_type in PLAIN and (getattr(config, "sliding_window", None) or max_length) >= max_length


def computing_type() -> torch.dtype:
    """bfloat16 where the machine multiplies it fast, else float32."""
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.bfloat16 if fast else torch.float32


class PackedTrainer(SFTTrainer):  # type: ignore[misc]
    """Rows end to end and what they begin with once, logits at completion tokens only, weights in `dtype` with float32 masters, no checkpointing.

    `on_step` is given, after each optimizer step, its number, how many there will be, what TRL logs of it and the tokens it took, padding left out;
    it says whether to go on.
    """

    def __init__(self, *, model: Any, dtype: torch.dtype, on_step: Callable[[int, int, dict[str, float], int], bool], **rest: Any) -> None:
        """Takes over a float32 model whose attention is `packed` where `packs` says so."""
        self._dtype, self._on_step, self._tokens = dtype, on_step, 0
        self._masters: MasterAdamW | None = None
        self._packs = model.config._attn_implementation == "packed"
        super().__init__(model=model, data_collator=pack if self._packs else None, **rest)

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with float32 masters, and every weight of the model in the computing type."""
        if self._masters is None:
            decaying = set(self.get_decay_parameter_names(self.model))
            trained = [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
            groups = [
                {"params": [weight for name, weight in trained if name in decaying], "weight_decay": self.args.weight_decay},
                {"params": [weight for name, weight in trained if name not in decaying], "weight_decay": 0.0},
            ]
            betas = (self.args.adam_beta1, self.args.adam_beta2)
            self.optimizer = self._masters = MasterAdamW(groups, self._dtype, lr=self.args.learning_rate, betas=betas, eps=self.args.adam_epsilon)
            for weight in self.model.parameters():
                weight.data = weight.data.to(self._dtype)
        return self.optimizer

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Tensor | None = None) -> Any:
        """Mean cross-entropy over the completion tokens of the step."""
        if not self._packs:
            self._tokens += int(inputs["attention_mask"].sum())
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._tokens += inputs.pop("row_tokens")
        labels = inputs.pop("labels")[0, 1:]
        scored = (labels != -100).nonzero()[:, 0]
        causal = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        hidden = causal.model(**inputs, use_cache=False).last_hidden_state[0].index_select(0, scored)
        total = F.cross_entropy(causal.lm_head(hidden).float(), labels[scored], reduction="sum")
        return total / (len(scored) if num_items_in_batch is None else num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand on the figures of one step."""
        self._metrics["train"].clear()
        if "loss" in logs:
            tokens, self._tokens = self._tokens, 0
            if not self._on_step(self.state.global_step, self.state.max_steps, logs, tokens):
                self.control.should_training_stop = True

    def _clip_grad_norm(self, model: Any) -> Tensor:
        assert self._masters is not None
        return self._masters.clip(self.args.max_grad_norm)
