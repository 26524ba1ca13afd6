"""Preference optimization with TRL: pairs of a right and a wrong trace in, the next checkpoint out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Pair, TrainingStep
from selfimprove.records.numbers import Float, PositiveFloat, PositiveInt
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.rows import tokenize_row
from selfimprove.training.small.fit_job import fit_job
from selfimprove.training.training_thread import run_training
from selfimprove.training.trl.dpo import DPOJob


@dataclass(frozen=True, config={"extra": "forbid"})
class DPO(Trainer):
    """Makes right traces likelier than wrong ones, with TRL's `DPOTrainer` (DPO: Rafailov et al. 2023) and AdamW.

    Computes in bfloat16 on machines that are fast at it and keeps float32 masters of the weights.
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
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DPOConfig`, over the fields above. The optimizer (`optim`) cannot be changed."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenDPO:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: `options` chooses an optimizer.
        """
        opened = OpenDPO(self)
        import selfimprove.training.trl.pairs  # noqa: F401

        return opened


class OpenDPO(RowTrainer[DPO]):
    """Preference optimization in the process that trains."""

    kind = "pairs"

    def train(self, start: Checkpoint, rows: Sequence[Pair], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Optimize `start` on pairs and save the model into `into`; each optimizer step is yielded as soon as it is done.

        `start` is also the reference model. Closing the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no pairs, or all are longer than `max_length`.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no pairs to train on: no problem has both a right and a wrong trace; sample more of each")
        tokenizer = load_tokenizer(start)
        pairs = [example for _, example in self._examples(tokenizer, rows)]
        job = DPOJob(start.path, pairs, self._arguments(len(pairs)), seed)
        yield from run_training(lambda on_step: fit_job(job, on_step), job.folder, into, self._part.threads, job.figures)

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

    def _arguments(self, pairs: int) -> dict[str, Any]:
        """Arguments of TRL's `DPOConfig`."""
        part = self._part
        ours = {
            "max_steps": math.ceil(part.epochs * math.ceil(pairs / part.batch_size)),
            "learning_rate": part.learning_rate,
            "beta": part.beta,
            "per_device_train_batch_size": part.batch_size,
            "max_length": None,
            "warmup_steps": part.warmup,
            "remove_unused_columns": False,
        }
        return {**ours, **part.options}
