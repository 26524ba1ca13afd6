"""Preference optimization with TRL: pairs of a right and a wrong trace in, the next checkpoint out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Pair, TrainingStep
from selfimprove.records.numbers import Float, PositiveFloat, PositiveInt
from selfimprove.training.engine import Engine, require_engine, require_even, takes_small
from selfimprove.training.malloc import KeepsFreedMemory
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.rows import tokenize_row
from selfimprove.training.small.dpo import fit_small_pairs
from selfimprove.training.training_thread import run_training
from selfimprove.training.trl.dpo import FIGURES, DPOJob
from selfimprove.training.trl.launch import launch
from selfimprove.training.trl.workers import Workers


@dataclass(frozen=True, config={"extra": "forbid"})
class DPO(KeepsFreedMemory, Trainer):
    """Makes right traces likelier than wrong ones, with TRL's `DPOTrainer` (DPO: Rafailov et al. 2023) and AdamW.

    Computes in bfloat16 on machines that are fast at it and keeps float32 weights for the optimizer.
    """

    epochs: PositiveFloat = 1.0
    """Passes over the pairs."""
    learning_rate: PositiveFloat = 5e-6
    """Peak learning rate, reached after the warm-up; it falls to zero at the end. Far below that of supervised fine-tuning."""
    beta: PositiveFloat = 0.1
    """Weight of the KL divergence from the starting model, DPO's β: higher values stay closer to it."""
    batch_size: PositiveInt = 8
    """Pairs in one optimizer step."""
    max_length: PositiveInt = 512
    """Maximum number of tokens in a prompt with one of its traces. Pairs with a longer trace are dropped, and the report counts them."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    engine: Engine = "auto"
    """What trains. `trl`: TRL's `DPOTrainer` with its own optimizer, on one GPU or many. `small`: the same on weights in bfloat16 with float32
    masters, in one process, which is faster for small models on a CPU. `auto`: `small` without a GPU, if `options` sets no optimizer; else `trl`."""
    gpus: PositiveInt = 1
    """Workers that train together, each with its own GPU. Weights, gradients and the optimizer's state are spread over them (FSDP2)."""
    nodes: PositiveInt = 1
    """Machines that the workers are spread over, the same number on each."""
    tokens_per_device: PositiveInt | None = None
    """Most tokens that a worker holds at once: a step with more is computed in several parts (gradient accumulation), with the same loss. One pair
    is the least. None: 16,384 on a GPU, 2,048 on a CPU. `small` computes each step in one part."""
    activation_checkpointing: bool | None = None
    """Whether activations are computed again in the backward pass, which saves memory and takes a third more time. None: where an estimate says
    that a step would not fit otherwise. Not for `small`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DPOConfig`, over the fields above."""
    threads: PositiveInt | None = None
    """Threads for torch in each worker. None: one for each core that it may use."""
    resources: Resources = Resources()
    """What its process reserves. With `gpus` above one, each worker reserves a GPU and as many CPUs besides."""

    @model_validator(mode="after")
    def _divisible(self) -> DPO:
        require_even(self, self.gpus, self.nodes)
        if self.batch_size % self.gpus:
            raise ValueError(f"batch_size={self.batch_size} cannot be divided evenly among gpus={self.gpus}")
        return self

    @property
    def devices(self) -> int:
        """GPUs that it trains on."""
        return self.gpus

    @property
    def starts_workers(self) -> bool:
        """Whether it trains in workers of Ray Train, which reserve the GPUs."""
        return self.gpus > 1

    def open(self) -> OpenDPO:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: `options` chooses an optimizer for `small`.
        """
        require_engine(self)
        opened = OpenDPO(self)
        import selfimprove.training.trl.pairs  # noqa: F401

        return opened


class OpenDPO(RowTrainer[DPO]):
    """Preference optimization in this process, or in workers that it starts."""

    kind = "pairs"
    any_optimizer = True

    def train(self, start: Checkpoint, rows: Sequence[Pair], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Optimize `start` on pairs and save the model into `into`; each optimizer step is yielded as soon as it is done.

        `start` is also the reference model. Closing the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no pairs, all are longer than `max_length`, or the cluster has no room for the workers.
            WorkerFailed: workers were lost too often.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no pairs to train on: no problem has both a right and a wrong trace; sample more of each")
        pairs = [example for _, example in self._examples(load_tokenizer(start), rows)]
        part, own = self._part, self._arguments()
        if takes_small(part):
            steps = math.ceil(part.epochs * math.ceil(len(pairs) / part.batch_size))
            arguments = {"max_steps": steps, "per_device_train_batch_size": part.batch_size, **own}
            yield from run_training(
                lambda on_step: fit_small_pairs(start.path, pairs, arguments, seed, on_step), Path(start.path), into, part.threads, FIGURES
            )
        else:
            job = DPOJob.of(part, start, own, seed, pairs=pairs, epochs=part.epochs)
            yield from launch(job, into, Workers(part.gpus, part.nodes, part.resources.cpus, part.resources.gpus), part.threads)

    def _example(self, tokenizer: Any, pair: Pair) -> dict[str, Any]:
        example: dict[str, Any] = {}
        for kind in ("chosen", "rejected"):
            trace_id, text, ids, forced = (getattr(pair, name) for name in (f"{kind}_id", kind, f"{kind}_token_ids", f"{kind}_forced"))
            row = AcceptedTrace(trace_id, pair.problem_id, pair.messages, text, kind, pair.generation, ids)
            prompt, completion = tokenize_row(tokenizer, row)
            example |= {"prompt_ids": prompt, f"{kind}_ids": completion, f"{kind}_forced": [list(span) for span in forced]}
        return example

    def _length(self, example: dict[str, Any]) -> int:
        return len(example["prompt_ids"]) + max(len(example["chosen_ids"]), len(example["rejected_ids"]))

    def _arguments(self) -> dict[str, Any]:
        """Arguments of TRL's `DPOConfig` for both engines."""
        part = self._part
        ours = {
            "learning_rate": part.learning_rate,
            "beta": part.beta,
            "max_length": None,
            "warmup_steps": part.warmup,
            "remove_unused_columns": False,
        }
        return {**ours, **part.options}
