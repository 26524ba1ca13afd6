"""Preference optimization with TRL's `DPOTrainer` as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from selfimprove.training.trl.budget import recomputing, refuse_planned, tokens_at_once
from selfimprove.training.trl.full_steps import order_of_rows, rows_at_once, step_size
from selfimprove.training.trl.job import Job

FIGURES = {"margin": "rewards/margins", "accuracy": "rewards/accuracies", "chosen_reward": "rewards/chosen", "rejected_reward": "rewards/rejected"}
"""Figures kept of each step, with TRL's names for them. A reward is `beta` times the gain of a trace in log-likelihood, in nats."""


@dataclass(frozen=True, kw_only=True)
class DPOJob(Job):
    """One preference optimization. The starting model is the reference too.

    TRL's loss is the mean over the pairs of a pass, so all passes have equally many pairs, and all steps too: an epoch may end within a step. One
    worker computes the log-probabilities of the reference before the first step, after which it takes no memory; several spread it over them.
    """

    pairs: list[dict[str, Any]]
    """As `PairCollator` takes them."""
    epochs: float

    figures = FIGURES

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """A `DPOConfig`.

        Raises:
            UserError: `own` divides the steps in another way.
        """
        from trl import DPOConfig

        refuse_planned("DPO", self.own)
        size, tokens = step_size(len(self.pairs), self.batch_size, workers), tokens_at_once(self.tokens)
        longest = 2 * max(map(pair_length, self.pairs))
        at_once = rows_at_once(size // workers, longest, tokens)
        ours = {
            "max_steps": math.ceil(self.epochs * len(self.pairs) / size),
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": size // workers // at_once,
            "train_sampling_strategy": "sequential",
            # TRL hands them to other workers through files of the first one's node.
            "precompute_ref_log_probs": workers == 1,
            **recomputing(self.activation_checkpointing, self.start, at_once * longest, workers, shared),
        }
        return DPOConfig(**{**shared, **ours, **self.own})

    def load(self, empty: bool = False) -> Any:
        """The causal language model in float32."""
        from selfimprove.training.trl.models import load_causal_lm

        return load_causal_lm(self.start, empty=empty, padded=True)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """A `DPOTrainer` on the pairs, in the order of their steps."""
        from selfimprove.training.trl.models import load_causal_lm

        # Frozen weights are in the computing type, so that the two models agree at the first step.
        reference = None if arguments.precompute_ref_log_probs else load_causal_lm(self.start, frozen=True, padded=True)
        taken = arguments.max_steps * arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        return dpo_trainer(model, reference, arguments, self.start, self.pairs, order_of_rows(len(self.pairs), taken, self.seed))


def dpo_trainer(model: Any, reference: Any, arguments: Any, start: str, pairs: list[dict[str, Any]], places: list[int]) -> Any:
    """A `DPOTrainer` with the tokenizer of the folder `start`, on a dataset of the pairs at these places."""
    from transformers import AutoTokenizer
    from trl import DPOTrainer

    from selfimprove.training.trl.pairs import PairCollator, pair_rows

    tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return DPOTrainer(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=pair_rows(places),
        data_collator=PairCollator(pairs, pad),
        processing_class=tokenizer,
    )


def pair_length(pair: dict[str, Any]) -> int:
    """Tokens of the longer row of a pair."""
    return len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))
