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

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Message, Trace, TrainingStep
from selfimprove.training.agreement import require_agreement
from selfimprove.training.data_parallel import train_together
from selfimprove.training.malloc import keep_freed_memory
from selfimprove.training.rows import tokenize_row
from selfimprove.training.training_thread import OnStep, run_training
from selfimprove.training.world import World

Example = dict[str, list[int]]
"""`input_ids`, and `labels` of the same length with -100 where no loss is taken."""


@dataclass(frozen=True, config={"extra": "forbid"})
class SFT(Trainer):
    """Fine-tunes every weight (or a LoRA adapter) on the completions of the rows, with TRL's `SFTTrainer` and AdamW.

    Computes in bfloat16 where the machine is fast at it and keeps float32 masters of the weights; rows are shuffled anew each epoch.
    """

    epochs: PositiveFloat = 3.0
    """How often every row is gone over."""
    min_steps: PositiveInt = 1
    """The fewest optimizer steps: where the first generations bring few rows, these are gone over more often than `epochs` says."""
    learning_rate: PositiveFloat = 1e-4
    """The peak: reached after the warm-up, zero at the end."""
    batch_size: PositiveInt = 16
    """Rows in one optimizer step."""
    max_length: PositiveInt = 512
    """The most tokens of a row, prompt and completion; selection has to leave out what is longer."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's, of weight matrices; 0: none."""
    schedule: str = "linear"
    """How the learning rate falls: a scheduler of transformers by name, `linear`, `cosine`, `constant_with_warmup`, …"""
    lora: dict[str, Any] | None = None
    """Settings of peft's `LoraConfig`; the adapter is merged into the weights that are saved. None trains every weight."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `SFTConfig` as they are, over the fields above; all but the choice of the optimizer (`optim`)."""
    threads: PositiveInt | None = None
    """Threads that torch computes with; None: one for every core that the process may use."""
    processes: PositiveInt = 1
    """That train together on one machine, a GPU each: a step's rows, and what the optimizer remembers, are divided among them. The rows of each step,
    and the loss, stay what they are with one."""
    resources: Resources = Resources()

    @property
    def devices(self) -> int:
        """GPUs that it trains on."""
        return self.processes

    def open(self) -> OpenSFT:
        """Load torch and TRL.

        Raises:
            UserError: `lora` is set and peft is not installed, or `options` chooses an optimizer.
        """
        if "optim" in self.options:
            raise UserError("SFT trains with AdamW on float32 masters: take `optim` out of its options")
        if self.lora is not None and importlib.util.find_spec("peft") is None:
            raise UserError("SFT(lora=…) needs the package peft: install it, or leave lora out")
        return OpenSFT(self)


class OpenSFT:
    """A trainer in the process that trains."""

    def __init__(self, part: SFT) -> None:
        """Import what training needs: some seconds."""
        import selfimprove.training.sft_trainer  # noqa: F401

        keep_freed_memory()
        self._part = part

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Fine-tune `start` on `rows` and save into `into`; each optimizer step is yielded as soon as it is done.

        The same start, rows and seed give the same weights on one kind of machine. Whoever closes the iterator early stops the training,
        and nothing is saved.

        Raises:
            UserError: there are no rows, or one is longer than `max_length`; names it.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        if not rows:
            raise UserError("there are no rows to train on: no trace was accepted; sample more, or take easier problems or a stronger base_model")
        tokenizer = AutoTokenizer.from_pretrained(start.path, local_files_only=True)
        examples = [self._example(tokenizer, row) for row in rows]
        if self._part.processes > 1:
            yield from train_together(partial(_in_one_of_them, self._part, start, examples, into, seed), self._part.processes)
        else:
            yield from self.train_examples(start, tokenizer, examples, into, seed, World())

    def train_examples(
        self, start: Checkpoint, tokenizer: Any, examples: list[Example], into: Path, seed: int, world: World
    ) -> Iterator[TrainingStep]:
        """What one process does of it; the first one saves."""
        threads = self._part.threads or len(os.sched_getaffinity(0)) // world.size or 1
        yield from run_training(
            lambda on_step: self._fit(start, tokenizer, examples, seed, on_step, world), Path(start.path), into if world.rank == 0 else None, threads
        )

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Compare the ids of completions and prompts, token for token; how many were equal.

        Raises:
            UserError: two differ.
        """
        return require_agreement(Path(start.path), rows, asked)

    def close(self) -> None:
        """Nothing stays open between two trainings."""

    def _example(self, tokenizer: Any, row: AcceptedTrace) -> Example:
        prompt, completion = tokenize_row(tokenizer, row)
        length = len(prompt) + len(completion)
        if length > self._part.max_length:
            raise UserError(
                f"row {row.trace_id} has {length} tokens, more than max_length={self._part.max_length}: "
                "raise trainer.max_length, or lower sampling.max_tokens"
            )
        labels = [-100] * len(prompt) + completion
        for begin, end in row.forced:
            labels[len(prompt) + begin : len(prompt) + end] = [-100] * (end - begin)
        return {"input_ids": prompt + completion, "labels": labels}

    def _fit(self, start: Checkpoint, tokenizer: Any, examples: list[Example], seed: int, on_step: OnStep, world: World) -> Any:
        """The trained model."""
        from datasets import Dataset

        from selfimprove.training.lean_loop import computing_type
        from selfimprove.training.sft_trainer import PackedTrainer

        with tempfile.TemporaryDirectory() as scratch:
            trainer = PackedTrainer(
                model=self._load(start.path),
                dtype=computing_type(),
                on_step=on_step,
                world=world,
                args=self._settings(scratch, seed, len(examples)),
                train_dataset=Dataset.from_list(examples),
                processing_class=tokenizer,
            )
            trainer.train()
        return trainer.model.merge_and_unload() if self._part.lora else trainer.model

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


def _in_one_of_them(part: SFT, start: Checkpoint, examples: list[Example], into: Path, seed: int, world: World) -> Iterator[TrainingStep]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(start.path, local_files_only=True)
    return OpenSFT(part).train_examples(start, tokenizer, examples, into, seed, world)
