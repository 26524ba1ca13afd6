"""Supervised fine-tuning with TRL's `SFTTrainer` as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selfimprove.training.adapters import with_adapter
from selfimprove.training.trl.job import Job


@dataclass(frozen=True)
class SFTJob(Job):
    """One supervised fine-tuning."""

    start: str
    examples: list[dict[str, list[int]]]
    """`input_ids` of each row, and `labels` of the same length with -100 where no loss is taken."""
    own: dict[str, Any]
    """Arguments of TRL's `SFTConfig`."""
    lora: dict[str, Any] | None
    """Arguments of peft's `LoraConfig`; None trains all weights."""
    seed: int

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """An `SFTConfig`."""
        from trl import SFTConfig

        return SFTConfig(**{**shared, **self.own})

    def load(self) -> Any:
        """The causal language model with its adapter, if any."""
        from transformers import AutoModelForCausalLM

        return with_adapter(AutoModelForCausalLM.from_pretrained(self.start, dtype="float32", local_files_only=True), self.lora)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """An `SFTTrainer` on the rows."""
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl import SFTTrainer

        tokenizer = AutoTokenizer.from_pretrained(self.start, local_files_only=True)
        return SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(self.examples), processing_class=tokenizer)
