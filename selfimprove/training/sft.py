"""Supervised fine-tuning with TRL: accepted traces in, the next checkpoint out."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.rows import tokenize_row
from selfimprove.training.small.sft import fit_small
from selfimprove.training.training_thread import run_training
from selfimprove.training.trl.launch import launch
from selfimprove.training.trl.sft import SFTJob

Example = dict[str, list[int]]
"""`input_ids`, and `labels` of the same length with -100 where no loss is taken."""


@dataclass(frozen=True, config={"extra": "forbid"})
class SFT(Trainer):
    """Fine-tunes all weights, or a LoRA adapter, on the completions of the rows, with TRL's `SFTTrainer` and AdamW.

    Computes in bfloat16 on machines that are fast at it and keeps float32 masters of the weights. Rows are shuffled again each epoch.
    """

    epochs: PositiveFloat = 3.0
    """Passes over the rows."""
    min_steps: PositiveInt = 1
    """Minimum number of optimizer steps. If the first generations bring few rows, these are used more often than `epochs` says."""
    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate, reached after the warm-up; it falls to zero at the end."""
    batch_size: PositiveInt = 16
    """Rows in one optimizer step."""
    max_length: PositiveInt = 512
    """Maximum number of tokens in a row, prompt and completion. Longer rows are dropped, and the report counts them."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's weight decay, on weight matrices only."""
    schedule: str = "linear"
    """How the learning rate falls: the name of a scheduler of transformers, such as `linear`, `cosine` or `constant_with_warmup`."""
    lora: dict[str, Any] | None = None
    """Arguments of peft's `LoraConfig`; the adapter is merged into the saved weights. None trains all weights."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `SFTConfig`, over the fields above. The optimizer (`optim`) cannot be changed."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenSFT:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: `lora` is set and peft is not installed, or `options` chooses an optimizer.
        """
        if self.lora is not None and importlib.util.find_spec("peft") is None:
            raise UserError("SFT(lora=…) needs the package peft: install it, or remove lora")
        opened = OpenSFT(self)
        import selfimprove.training.small.packed_trainer  # noqa: F401

        return opened


class OpenSFT(RowTrainer[SFT]):
    """Supervised fine-tuning in the process that trains."""

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Fine-tune `start` on `rows` and save the model into `into`; each optimizer step is yielded as soon as it is done.

        The same start, rows and seed give the same weights on the same kind of machine. Closing the iterator early stops the training, and nothing is
        saved.

        Raises:
            UserError: there are no rows, or all are longer than `max_length`.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no rows to train on, as no trace was accepted: sample more, or take easier problems or a stronger base_model")
        tokenizer = load_tokenizer(start)
        examples = [example for _, example in self._examples(tokenizer, rows)]
        if self._small(start):
            yield from run_training(
                lambda on_step: fit_small(start.path, tokenizer, examples, self._arguments(len(examples)), self._part.lora, seed, on_step),
                Path(start.path),
                into,
                self._part.threads,
            )
        else:
            job = SFTJob(start.path, examples, self._arguments(len(examples)), self._part.lora, seed)
            yield from launch(job, into, threads=self._part.threads)

    def _example(self, tokenizer: Any, row: AcceptedTrace) -> Example:
        prompt, completion = tokenize_row(tokenizer, row)
        labels = [-100] * len(prompt) + completion
        for begin, end in row.forced:
            labels[len(prompt) + begin : len(prompt) + end] = [-100] * (end - begin)
        return {"input_ids": prompt + completion, "labels": labels}

    def _length(self, example: Example) -> int:
        return len(example["input_ids"])

    def _small(self, start: Checkpoint) -> bool:
        from transformers import AutoConfig

        from selfimprove.training.small.packed_trainer import packs

        return packs(AutoConfig.from_pretrained(start.path, local_files_only=True), self._part.max_length)

    def _arguments(self, rows: int) -> dict[str, Any]:
        """Arguments of TRL's `SFTConfig` for both engines."""
        part = self._part
        ours = {
            "max_steps": max(part.min_steps, math.ceil(part.epochs * math.ceil(rows / part.batch_size))),
            "learning_rate": part.learning_rate,
            "per_device_train_batch_size": part.batch_size,
            "max_length": part.max_length,
            "warmup_steps": part.warmup,
            "weight_decay": part.weight_decay,
            "lr_scheduler_type": part.schedule,
            "dataset_kwargs": {"skip_prepare_dataset": True},
        }
        return {**ours, **part.options}
