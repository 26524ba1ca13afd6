"""Preference optimization with TRL's `DPOTrainer` as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selfimprove.training.trl.job import Job

FIGURES = {"margin": "rewards/margins", "accuracy": "rewards/accuracies", "chosen_reward": "rewards/chosen", "rejected_reward": "rewards/rejected"}
"""Figures kept of each step, with TRL's names for them. A reward is `beta` times the gain of a trace in log-likelihood, in nats."""


@dataclass(frozen=True)
class DPOJob(Job):
    """One preference optimization. The starting model is the reference too."""

    start: str
    pairs: list[dict[str, Any]]
    """`prompt_ids`, `chosen_ids`, `rejected_ids` of each pair; `chosen_forced` and `rejected_forced`, the spans of ids without loss."""
    own: dict[str, Any]
    """Arguments of TRL's `DPOConfig`."""
    seed: int

    figures = FIGURES

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """A `DPOConfig`."""
        from trl import DPOConfig

        return DPOConfig(**{**shared, **self.own})

    def load(self) -> Any:
        """The causal language model in float32."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.start, dtype="float32", local_files_only=True)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """A `DPOTrainer` on the pairs."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import DPOTrainer

        from selfimprove.training.precision import computing_type
        from selfimprove.training.trl.pairs import TEXT, PairCollator

        tokenizer = AutoTokenizer.from_pretrained(self.start, local_files_only=True)
        # In the computing type, so that the two models agree at the first step.
        reference = (
            None
            if arguments.precompute_ref_log_probs
            else AutoModelForCausalLM.from_pretrained(self.start, dtype=computing_type(), local_files_only=True)
        )
        return DPOTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            train_dataset=Dataset.from_list([{**TEXT, "pair": pair} for pair in self.pairs]),
            data_collator=PairCollator(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id),
            processing_class=tokenizer,
        )
