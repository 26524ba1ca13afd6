"""Supervised fine-tuning with TRL's `SFTTrainer` as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from selfimprove.training.adapters import with_adapter
from selfimprove.training.trl.budget import recomputing, refuse_planned, tokens_at_once
from selfimprove.training.trl.job import Job
from selfimprove.training.trl.micro_batches import plan


@dataclass(frozen=True, kw_only=True)
class SFTJob(Job):
    """One supervised fine-tuning. `max_steps` is one of its own arguments of TRL's `SFTConfig`."""

    examples: list[dict[str, Any]]
    """`input_ids` of each row, and `labels` of the same length with -100 where no loss is taken; in all or none also `weights`, factors on it."""
    lora: dict[str, Any] | None
    """Arguments of peft's `LoraConfig`; None trains all weights."""

    counts_on = True

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """An `SFTConfig`.

        Raises:
            UserError: `own` divides the steps in another way.
        """
        from trl import SFTConfig

        refuse_planned("SFT", self.own)
        longest = max(len(example["input_ids"]) for example in self.examples)
        tokens = max(longest, tokens_at_once(self.tokens))
        ours = {
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": self._plan(workers).per_step,
            "num_train_epochs": 1,
            "train_sampling_strategy": "sequential",
            # A micro-batch is one row of the dataset: a list of rows.
            "remove_unused_columns": False,
            "dataset_kwargs": {"skip_prepare_dataset": True},
            **recomputing(self.activation_checkpointing, self.start, tokens, workers, shared, frozen=self.lora is not None),
        }
        return SFTConfig(**{**shared, **ours, **{name: value for name, value in self.own.items() if name != "model_init_kwargs"}})

    def load(self, empty: bool = False) -> Any:
        """The causal language model with its adapter, if any."""
        from selfimprove.training.trl.models import load_causal_lm

        model = load_causal_lm(self.start, empty=empty, frozen=self.lora is not None, **self._model_options())
        return with_adapter(model, self.lora, self.seed)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """An `SFTTrainer` on the rows."""
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl import SFTTrainer
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        tokenizer = AutoTokenizer.from_pretrained(self.start, local_files_only=True)
        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        collate: Any = DataCollatorForLanguageModeling(pad_token_id=pad, padding_free=self._flat())
        kind = SFTTrainer
        if self._weighted:
            from selfimprove.training.trl.weighted_sft import WeightedSFTTrainer, with_weights

            kind, collate = WeightedSFTTrainer, with_weights(collate, self._flat())
        planned = self._plan(arguments.world_size)
        return kind(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"rows": planned.batches}).with_transform(self._micro_batches),
            # The dataset's rows are micro-batches, one at a time.
            data_collator=lambda batches: collate(batches[0]["rows"]),
            processing_class=tokenizer,
            callbacks=[_tokens(self._tokens(planned.batches, arguments.max_steps))],
        )

    def _tokens(self, batches: Sequence[Sequence[int]], steps: int) -> list[int]:
        """Tokens of all rows up to each step."""
        size = len(batches) // steps
        each = [sum(len(self.examples[row]["input_ids"]) for row in batch) for batch in batches]
        return list(accumulate(sum(each[start : start + size]) for start in range(0, len(each), size)))

    def _micro_batches(self, taken: dict[str, list[list[int]]]) -> dict[str, list[list[dict[str, Any]]]]:
        """Rows instead of their places. Every worker computes every micro-batch: an empty one gets the beginning of a row, without a loss."""
        beginning = {"input_ids": self.examples[0]["input_ids"][:2], "labels": [-100, -100], **({"weights": [1.0, 1.0]} if self._weighted else {})}
        return {"rows": [[self.examples[place] for place in places] or [beginning] for places in taken["rows"]]}

    @property
    def _weighted(self) -> bool:
        return "weights" in self.examples[0]

    def _plan(self, workers: int) -> Any:
        return plan(
            [len(example["input_ids"]) for example in self.examples],
            batch_size=self.batch_size,
            steps=self.own["max_steps"],
            tokens=tokens_at_once(self.tokens),
            workers=workers,
            padded=not self._flat(),
            seed=self.seed,
        )

    def _flat(self) -> bool:
        from transformers import AutoConfig

        from selfimprove.training.trl.models import lies_flat

        return lies_flat(AutoConfig.from_pretrained(self.start, local_files_only=True), self._model_options().get("attn_implementation"))

    def _model_options(self) -> dict[str, Any]:
        return dict(self.own.get("model_init_kwargs") or {})


def _tokens(counted: Sequence[int]) -> Any:
    """A callback that logs the tokens of the rows up to each step. The trainer counts those of empty micro-batches too."""
    from transformers import TrainerCallback

    class Tokens(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            logs["num_tokens"] = counted[state.global_step - 1]

    return Tokens()
