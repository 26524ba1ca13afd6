"""Supervised fine-tuning with TRL: accepted traces in, the next checkpoint out."""

from __future__ import annotations

import importlib.util
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.training.data_parallel import train_data_parallel
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.rows import tokenize_row
from selfimprove.training.training_thread import OnStep, run_training
from selfimprove.training.world import World

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
    processes: PositiveInt = 1
    """Processes that train together on one machine, each on its own GPU. They share the rows of each step and the optimizer's state; the rows of a
    step and the loss stay the same as with one process."""
    resources: Resources = Resources()

    @property
    def devices(self) -> int:
        """GPUs that it trains on."""
        return self.processes

    def open(self) -> OpenSFT:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: `lora` is set and peft is not installed, or `options` chooses an optimizer.
        """
        if self.lora is not None and importlib.util.find_spec("peft") is None:
            raise UserError("SFT(lora=…) needs the package peft: install it, or remove lora")
        opened = OpenSFT(self)
        import selfimprove.training.sft_trainer  # noqa: F401

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
        if self._part.processes > 1:
            yield from train_data_parallel(partial(_train_process, self._part, start, examples, into, seed), self._part.processes)
        else:
            yield from self.train_examples(start, tokenizer, examples, into, seed, World())

    def train_examples(
        self, start: Checkpoint, tokenizer: Any, examples: list[Example], into: Path, seed: int, world: World
    ) -> Iterator[TrainingStep]:
        """The part of one process in the training. The first process saves the model."""
        threads = self._part.threads or len(os.sched_getaffinity(0)) // world.size or 1
        yield from run_training(
            lambda on_step: self._fit(start, tokenizer, examples, seed, on_step, world), Path(start.path), into if world.rank == 0 else None, threads
        )

    def _example(self, tokenizer: Any, row: AcceptedTrace) -> Example:
        prompt, completion = tokenize_row(tokenizer, row)
        labels = [-100] * len(prompt) + completion
        for begin, end in row.forced:
            labels[len(prompt) + begin : len(prompt) + end] = [-100] * (end - begin)
        return {"input_ids": prompt + completion, "labels": labels}

    def _length(self, example: Example) -> int:
        return len(example["input_ids"])

    def _fit(self, start: Checkpoint, tokenizer: Any, examples: list[Example], seed: int, on_step: OnStep, world: World) -> Any:
        """The trained model."""
        from datasets import Dataset

        from selfimprove.training.lean_loop import fit
        from selfimprove.training.sft_trainer import PackedTrainer

        with tempfile.TemporaryDirectory() as scratch:
            trainer = PackedTrainer(
                model=self._load(start.path),
                world=world,
                args=self._settings(scratch, seed, len(examples)),
                train_dataset=Dataset.from_list(examples),
                processing_class=tokenizer,
            )
            model = fit(trainer, on_step, world)
        return model.merge_and_unload() if self._part.lora else model

    def _load(self, path: str) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        from selfimprove.training.sft_trainer import packs

        packed = packs(AutoConfig.from_pretrained(path, local_files_only=True), self._part.max_length)
        model = AutoModelForCausalLM.from_pretrained(path, dtype="float32", attn_implementation="packed" if packed else None, local_files_only=True)
        if self._part.lora is not None:
            from peft import LoraConfig, get_peft_model  # type: ignore[import-not-found, unused-ignore]

            model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **self._part.lora))
        return model

    def _settings(self, scratch: str, seed: int, rows: int) -> Any:
        from trl import SFTConfig

        from selfimprove.training.lean_loop import quiet_settings

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
        return SFTConfig(**{**quiet_settings(scratch, seed), **ours, **part.options})


def _train_process(part: SFT, start: Checkpoint, examples: list[Example], into: Path, seed: int, world: World) -> Iterator[TrainingStep]:
    return OpenSFT(part).train_examples(start, load_tokenizer(start), examples, into, seed, world)
