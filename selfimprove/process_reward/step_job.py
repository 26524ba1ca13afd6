"""Training of a reward model with transformers' `Trainer` as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfimprove.training.trl.budget import recomputing, refuse_planned, tokens_at_once
from selfimprove.training.trl.job import Job
from selfimprove.training.trl.micro_batches import Plan, plan


@dataclass(frozen=True, kw_only=True)
class StepJob(Job):
    """One training of a token classifier at the ends of thoughts."""

    examples: list[dict[str, Any]]
    """`input_ids` of each trace; `positions` and `labels` of its labelled thoughts."""
    positive_weight: float
    """Weight of a good thought; a bad one weighs 1."""

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """The `TrainingArguments`.

        Raises:
            UserError: `own` divides the steps in another way.
        """
        from transformers import TrainingArguments

        refuse_planned("RewardTrainer", self.own)
        tokens = max(self._longest(), tokens_at_once(self.tokens))
        ours = {
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": self._plan(workers).per_step,
            "train_sampling_strategy": "sequential",
            **recomputing(self.activation_checkpointing, self.start, tokens, workers, shared),
        }
        return TrainingArguments(**{**shared, **ours, **self.own})

    def load(self, empty: bool = False) -> Any:
        """The token classifier in float32. Its weights always have values."""
        return load_headless(self.start, self.seed)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """A `Trainer` on micro-batches: each row of its dataset is a list of traces, with the weight of their step."""
        import torch

        from selfimprove.process_reward.step_trainer import StepCollator, Weights, step_trainer

        weights, planned = Weights(self.positive_weight), self._plan(arguments.world_size)
        collator, passes = StepCollator(weights), planned.per_step * arguments.world_size
        rows = []
        for first in range(0, len(planned.batches), passes):
            step = planned.batches[first : first + passes]
            labels = [label for batch in step for place in batch for label in self.examples[place]["labels"]]
            rows += [(self._rows(batch), weights.total(torch.tensor(labels))) for batch in step]
        return step_trainer(model, arguments, weights, rows, lambda batches: collator(*batches[0]))

    def _rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The traces of a micro-batch. Every worker computes every micro-batch: an empty one gets the beginning of a trace, without labels."""
        return [self.examples[place] for place in places] or [{"input_ids": self.examples[0]["input_ids"][:2], "positions": [], "labels": []}]

    def _plan(self, workers: int) -> Plan:
        return plan(
            [len(example["input_ids"]) for example in self.examples],
            batch_size=self.batch_size,
            steps=self.own["max_steps"],
            tokens=tokens_at_once(self.tokens),
            workers=workers,
            padded=True,
            seed=self.seed,
        )

    def _longest(self) -> int:
        return max(len(example["input_ids"]) for example in self.examples)


def load_headless(path: str, seed: int) -> Any:
    """The language model in float32 with a fresh head of one label and no bias: vLLM's pooling runner cannot reload a bias."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    config = AutoConfig.from_pretrained(path, local_files_only=True, num_labels=1)
    config.token_classification_bias, config.classifier_dropout = False, 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**32)
        return AutoModelForTokenClassification.from_pretrained(path, config=config, dtype="float32", local_files_only=True)
