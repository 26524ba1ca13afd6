"""Distillation of a teacher's distributions with TRL: questions in, a student that answers them as its teacher would out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, Message, Trace, TrainingStep
from selfimprove.training.agreement import require_agreement
from selfimprove.training.malloc import keep_freed_memory
from selfimprove.training.rows import end_of_turn
from selfimprove.training.training_thread import OnStep, run_training

FIGURES = {"output_tokens": "completions/mean_length", "clipped": "completions/clipped_ratio", "entropy": "entropy"}
"""What is kept of each step, and TRL's name for it: the mean length of what the student wrote, the share that the token limit ended, and the entropy
of its choices in nats."""


@dataclass(frozen=True, config={"extra": "forbid"})
class OnPolicyDistillation(Trainer):
    """Has the student answer, and moves its distribution over the next token, after each of its own tokens, towards the teacher's.

    On-policy distillation: Agarwal et al. 2024, with TRL's `DistillationTrainer` and AdamW. Of the rows only the questions count. The student
    should answer in the teacher's form already, as one does that was trained on its traces: what it writes is all that it learns from. Completions
    are sampled by the model that trains, in its process, without vLLM. Computes in bfloat16 where the machine is fast at it and keeps float32
    masters of the weights.
    """

    teacher: str
    """A Hugging Face id or a local folder, with the student's vocabulary."""
    steps: PositiveInt = 20
    """Optimizer steps."""
    batch_size: PositiveInt = 16
    """Questions in one step."""
    temperature: PositiveFloat = 1.0
    """Of sampling, and of both distributions in the loss."""
    max_tokens: PositiveInt = 256
    """The most tokens of a completion, thinking and answer."""
    divergence: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which one is minimized (TRL's `beta`): 0 the forward KL divergence, 1 the reverse, between them the generalized Jensen-Shannon."""
    learning_rate: PositiveFloat = 2e-5
    """The peak: reached after the warm-up, zero at the end."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DistillationConfig` as they are, over the fields above; all but the choice of the optimizer (`optim`)."""
    threads: PositiveInt | None = None
    """Threads that torch computes with; None: one for every core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenOnPolicyDistillation:
        """Load torch and TRL.

        Raises:
            UserError: there is no such teacher, or `options` chooses an optimizer.
        """
        if "optim" in self.options:
            raise UserError("OnPolicyDistillation trains with AdamW on float32 masters: take `optim` out of its options")
        return OpenOnPolicyDistillation(self, resolve_model(self.teacher))


class OpenOnPolicyDistillation:
    """A trainer in the process that trains."""

    def __init__(self, part: OnPolicyDistillation, teacher: Path) -> None:
        """Import what training needs: some seconds."""
        import selfimprove.training.distillation_trainer  # noqa: F401

        keep_freed_memory()
        self._part, self._teacher = part, teacher

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Train `start`, the student, on the questions of the rows and save into `into`; each optimizer step is yielded as soon as it is done.

        The loss of a step is the divergence per token, in nats. Whoever closes the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no rows, or student and teacher have different vocabularies.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        if not rows:
            raise UserError("there are no questions to distil on")
        ours, theirs = (AutoTokenizer.from_pretrained(path, local_files_only=True) for path in (start.path, self._teacher))
        if ours.get_vocab() != theirs.get_vocab():
            raise UserError(f"teacher {self._teacher} has another vocabulary than the student: train on its traces instead (SFT)")
        chats = {row.problem_id: {"prompt": list(row.messages)} for row in rows}
        yield from run_training(
            lambda on_step: self._fit(start, ours, list(chats.values()), seed, on_step), Path(start.path), into, self._part.threads, FIGURES
        )

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Compare the ids of completions and prompts, token for token; how many were equal.

        Raises:
            UserError: two differ.
        """
        return require_agreement(Path(start.path), rows, asked)

    def close(self) -> None:
        """Nothing stays open between two trainings."""

    def _fit(self, start: Checkpoint, tokenizer: Any, chats: list[dict[str, Any]], seed: int, on_step: OnStep) -> Any:
        """The trained student."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.distillation_trainer import StudentTrainer
        from selfimprove.training.lean_loop import computing_type

        dtype = computing_type()
        with tempfile.TemporaryDirectory() as scratch:
            trainer = StudentTrainer(
                model=AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True),
                teacher_model=AutoModelForCausalLM.from_pretrained(self._teacher, dtype=dtype, local_files_only=True),
                dtype=dtype,
                on_step=on_step,
                end=end_of_turn(tokenizer),
                args=self._settings(scratch, seed, len(chats)),
                train_dataset=Dataset.from_list(chats),
                processing_class=tokenizer,
            )
            trainer.train()
        return trainer.model

    def _settings(self, scratch: str, seed: int, questions: int) -> Any:
        from trl import DistillationConfig

        from selfimprove.training.lean_loop import quiet_settings

        part = self._part
        ours = {
            "max_steps": part.steps,
            "learning_rate": part.learning_rate,
            "beta": part.divergence,
            "per_device_train_batch_size": min(part.batch_size, questions),
            "temperature": part.temperature,
            "max_completion_length": part.max_tokens,
            "warmup_steps": part.warmup,
        }
        return DistillationConfig(**{**quiet_settings(scratch, seed), **ours, **part.options})
