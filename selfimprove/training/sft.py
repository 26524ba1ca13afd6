"""Supervised fine-tuning with TRL: accepted traces in, the next checkpoint out."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep, WeightedRow
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.training.engine import Engine, require_engine, require_even, takes_small
from selfimprove.training.malloc import KeepsFreedMemory
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.rows import tokenize_row
from selfimprove.training.small.sft import fit_small
from selfimprove.training.training_thread import run_training
from selfimprove.training.trl.launch import launch
from selfimprove.training.trl.sft import SFTJob
from selfimprove.training.trl.workers import Workers

Example = dict[str, Any]
"""`input_ids`, and `labels` of the same length with -100 where no loss is taken; also `weights`, factors on the loss, where they are not all 1."""


@dataclass(frozen=True, config={"extra": "forbid"})
class SFT(KeepsFreedMemory, Trainer):
    """Fine-tunes all weights, or a LoRA adapter, on the completions of the rows, with TRL and AdamW.

    Computes in bfloat16 on machines that are fast at it and keeps float32 weights for the optimizer. Rows are shuffled again each epoch.
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
    engine: Engine = "auto"
    """What trains. `trl`: TRL's `SFTTrainer`, for any model, on one GPU or many. `small`: a fast path for small models of the kinds Llama, Mistral,
    Qwen2 and Qwen3 on a CPU, in one process. `auto`: `small` without a GPU, if the model is of such a kind and `options` sets no optimizer; else
    `trl`."""
    gpus: PositiveInt = 1
    """Workers that train together, each with its own GPU. Weights, gradients and the optimizer's state are spread over them (FSDP2). The rows of a
    step and the loss are the same with any number of workers. On a cluster without GPUs the workers share its CPUs, and each holds all weights."""
    nodes: PositiveInt = 1
    """Machines that the workers are spread over, the same number on each."""
    tokens_per_device: PositiveInt | None = None
    """Most tokens that a worker holds at once: a step with more is computed in several parts (gradient accumulation), with the same loss. None:
    16,384 on a GPU, 2,048 on a CPU. `small` computes each step in one part."""
    activation_checkpointing: bool | None = None
    """Whether activations are computed again in the backward pass, which saves memory and takes a third more time. None: where an estimate says
    that a step would not fit otherwise. Not for `small`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `SFTConfig`, over the fields above; `model_init_kwargs` goes to transformers' `from_pretrained`. With several workers,
    `save_steps` says how often the training is saved, so that it can continue there when a worker is lost (default: every fifth of the steps)."""
    threads: PositiveInt | None = None
    """Threads for torch in each worker. None: one for each core that it may use."""
    resources: Resources = Resources()
    """What its process reserves. With `gpus` above one, each worker reserves as many CPUs besides, and `resources.gpus` GPUs (None: one)."""

    @model_validator(mode="after")
    def _one_process(self) -> SFT:
        require_even(self, self.gpus, self.nodes)
        return self

    @property
    def devices(self) -> int:
        """GPUs that it trains on."""
        return self.gpus

    @property
    def starts_workers(self) -> bool:
        """Whether it trains in workers of Ray Train, which reserve the GPUs."""
        return self.gpus > 1

    def open(self) -> OpenSFT:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: `lora` is set and peft is not installed, or `options` chooses an optimizer for `small`.
        """
        if self.lora is not None and importlib.util.find_spec("peft") is None:
            raise UserError("SFT(lora=…) needs the package peft: install it, or remove lora")
        require_engine(self)
        opened = OpenSFT(self)
        import trl  # noqa: F401

        return opened


class OpenSFT(RowTrainer[SFT]):
    """Supervised fine-tuning in this process, or in workers that it starts."""

    any_optimizer = True

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Fine-tune `start` on `rows` and save the model into `into`; each optimizer step is yielded as soon as it is done.

        The same start, rows and seed give the same weights on the same kind of machine. Closing the iterator early stops the training, and nothing is
        saved.

        Raises:
            UserError: there are no rows, all are longer than `max_length`, or the cluster has no room for the workers.
            WorkerFailed: workers were lost too often.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no rows to train on, as no trace was accepted: sample more, or take easier problems or a stronger base_model")
        tokenizer = load_tokenizer(start)
        examples = _all_weighted([example for _, example in self._examples(tokenizer, rows)])
        part, own = self._part, self._arguments(len(examples))
        if self._small(start):
            arguments = {"per_device_train_batch_size": part.batch_size, **own}
            yield from run_training(
                lambda on_step: fit_small(start.path, tokenizer, examples, arguments, part.lora, seed, on_step), Path(start.path), into, part.threads
            )
        else:
            job = SFTJob.of(part, start, own, seed, examples=examples, lora=part.lora)
            yield from launch(job, into, Workers(part.gpus, part.nodes, part.resources.cpus, part.resources.gpus), part.threads)

    def _example(self, tokenizer: Any, row: AcceptedTrace) -> Example:
        prompt, completion = tokenize_row(tokenizer, row)
        labels = [-100] * len(prompt) + completion
        for begin, end in row.forced:
            labels[len(prompt) + begin : len(prompt) + end] = [-100] * (end - begin)
        weights = {"weights": [row.loss_weight] * len(labels)} if isinstance(row, WeightedRow) else {}
        return {"input_ids": prompt + completion, "labels": labels, **weights}

    def _length(self, example: Example) -> int:
        return len(example["input_ids"])

    def _small(self, start: Checkpoint) -> bool:
        """Whether `small` trains.

        Raises:
            UserError: it has to, and cannot.
        """
        from transformers import AutoConfig

        from selfimprove.training.small.packed_trainer import packs

        config, longest = AutoConfig.from_pretrained(start.path, local_files_only=True), self._part.max_length
        unable = None if packs(config, longest) else f"does not train models of type {config.model_type} on rows of max_length={longest}"
        return takes_small(self._part, unable)

    def _arguments(self, rows: int) -> dict[str, Any]:
        """Arguments of TRL's `SFTConfig` for both engines."""
        part = self._part
        ours = {
            "max_steps": max(part.min_steps, math.ceil(part.epochs * math.ceil(rows / part.batch_size))),
            "learning_rate": part.learning_rate,
            "max_length": part.max_length,
            "warmup_steps": part.warmup,
            "weight_decay": part.weight_decay,
            "lr_scheduler_type": part.schedule,
        }
        return {**ours, **part.options}


def _all_weighted(examples: list[Example]) -> list[Example]:
    """The examples with weights in all of them if any has some."""
    if not any("weights" in example for example in examples):
        return examples
    return [{"weights": [1.0] * len(example["labels"]), **example} for example in examples]
