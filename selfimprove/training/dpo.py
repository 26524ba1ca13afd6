"""Preference optimization with TRL: pairs of a right and a wrong trace in, the next checkpoint out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Message, Pair, Trace, TrainingStep
from selfimprove.training.agreement import require_agreement
from selfimprove.training.malloc import keep_freed_memory
from selfimprove.training.rows import tokenize_row
from selfimprove.training.training_thread import OnStep, run_training

FIGURES = {"margin": "rewards/margins", "accuracy": "rewards/accuracies", "chosen_reward": "rewards/chosen", "rejected_reward": "rewards/rejected"}
"""What is kept of each step, and TRL's name for it; a reward is `beta` times how much likelier a trace has become, in nats."""


@dataclass(frozen=True, config={"extra": "forbid"})
class DPO(Trainer):
    """Makes right traces likelier than wrong ones, with TRL's `DPOTrainer` (DPO: Rafailov et al. 2023) and AdamW, from the model that it starts from.

    Computes in bfloat16 where the machine is fast at it and keeps float32 masters of the weights.
    """

    epochs: PositiveFloat = 1.0
    """How often every pair is gone over."""
    learning_rate: PositiveFloat = 5e-6
    """The peak: reached after the warm-up, zero at the end. Far below that of supervised fine-tuning."""
    beta: PositiveFloat = 0.1
    """How strongly the model is held to where it started: DPO's β, the weight of the KL divergence."""
    batch_size: PositiveInt = 8
    """Pairs in one optimizer step."""
    max_length: PositiveInt = 512
    """The most tokens of a prompt with one of its traces; a longer one is refused."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DPOConfig` as they are, over the fields above; all but the choice of the optimizer (`optim`)."""
    threads: PositiveInt | None = None
    """Threads that torch computes with; None: one for every core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenDPO:
        """Load torch and TRL.

        Raises:
            UserError: `options` chooses an optimizer.
        """
        if "optim" in self.options:
            raise UserError("DPO trains with AdamW on float32 masters: take `optim` out of its options")
        return OpenDPO(self)


class OpenDPO:
    """A trainer in the process that trains."""

    def __init__(self, part: DPO) -> None:
        """Import what training needs: some seconds."""
        import selfimprove.training.dpo_trainer  # noqa: F401

        keep_freed_memory()
        self._part = part

    def train(self, start: Checkpoint, rows: Sequence[Pair], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Optimize `start` on pairs and save into `into`; each optimizer step is yielded as soon as it is done.

        `start` is also what the model is held to. Whoever closes the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no pairs, or one is longer than `max_length`; names it.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        if not rows:
            raise UserError("there are no pairs to train on: no problem has both a right and a wrong trace; sample more of each")
        tokenizer = AutoTokenizer.from_pretrained(start.path, local_files_only=True)
        examples = [self._example(tokenizer, pair) for pair in rows]
        yield from run_training(
            lambda on_step: self._fit(start, tokenizer, examples, seed, on_step), Path(start.path), into, self._part.threads, FIGURES
        )

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Compare the ids of completions and prompts, token for token; how many were equal.

        Raises:
            UserError: two differ.
        """
        return require_agreement(Path(start.path), rows, asked)

    def close(self) -> None:
        """Nothing stays open between two trainings."""

    def _example(self, tokenizer: Any, pair: Pair) -> dict[str, Any]:
        example: dict[str, Any] = {}
        for kind in ("chosen", "rejected"):
            trace_id, text, ids, forced = (getattr(pair, name) for name in (f"{kind}_id", kind, f"{kind}_token_ids", f"{kind}_forced"))
            row = AcceptedTrace(trace_id, pair.problem_id, pair.messages, text, kind, pair.generation, ids)
            prompt, completion = tokenize_row(tokenizer, row)
            if len(prompt) + len(completion) > self._part.max_length:
                raise UserError(
                    f"trace {trace_id} has {len(prompt) + len(completion)} tokens with its prompt, more than max_length={self._part.max_length}: "
                    "raise the preference trainer's max_length, or lower sampling.max_tokens"
                )
            example |= {"prompt_ids": prompt, f"{kind}_ids": completion, f"{kind}_forced": [list(span) for span in forced]}
        return example

    def _fit(self, start: Checkpoint, tokenizer: Any, examples: list[dict[str, Any]], seed: int, on_step: OnStep) -> Any:
        """The trained model."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.dpo_trainer import PairTrainer
        from selfimprove.training.lean_loop import computing_type

        dtype = computing_type()
        with tempfile.TemporaryDirectory() as scratch:
            trainer = PairTrainer(
                model=AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True),
                # In the type that the model computes in, so that at the first step the two agree.
                ref_model=AutoModelForCausalLM.from_pretrained(start.path, dtype=dtype, local_files_only=True),
                dtype=dtype,
                on_step=on_step,
                args=self._settings(scratch, seed, len(examples)),
                train_dataset=Dataset.from_list(examples),
                processing_class=tokenizer,
            )
            trainer.train()
        return trainer.model

    def _settings(self, scratch: str, seed: int, pairs: int) -> Any:
        from trl import DPOConfig

        from selfimprove.training.lean_loop import quiet_settings

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
        return DPOConfig(**{**quiet_settings(scratch, seed), **ours, **part.options})
