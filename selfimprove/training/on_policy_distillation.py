"""On-policy distillation with TRL: questions in, a student that answers like its teacher out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.records.numbers import Float, PositiveFloat, PositiveInt
from selfimprove.training.open_trainer import TRLTrainer, load_tokenizer
from selfimprove.training.training_thread import OnStep, run_training

FIGURES = {"output_tokens": "completions/mean_length", "clipped": "completions/clipped_ratio", "entropy": "entropy"}
"""Figures kept of each step, with TRL's names for them: mean length of the student's completions, share cut off by the token limit, and entropy of
the student's distributions in nats."""


@dataclass(frozen=True, config={"extra": "forbid"})
class OnPolicyDistillation(Trainer):
    """Has the student answer, and moves its distribution after each of its own tokens towards the teacher's.

    On-policy distillation: Agarwal et al. 2024, with TRL's `DistillationTrainer` and AdamW. Only the questions of the rows are used. The student
    should already answer in the teacher's form, as after training on its traces, because it learns from its own completions alone. The training
    process samples them itself, without vLLM. Computes in bfloat16 on machines that are fast at it and keeps float32 masters of the weights.
    """

    teacher: str
    """A Hugging Face id or a local folder; the teacher must have the student's vocabulary."""
    steps: PositiveInt = 20
    """Optimizer steps."""
    batch_size: PositiveInt = 16
    """Questions in one optimizer step."""
    temperature: PositiveFloat = 1.0
    """Temperature of sampling, and of both distributions in the loss."""
    max_tokens: PositiveInt = 256
    """Maximum number of tokens in a completion, thinking and answer."""
    divergence: Annotated[Float, Field(ge=0, le=1)] = 1.0
    """The divergence to minimize (TRL's `beta`): 0 is the forward KL divergence, 1 the reverse; values between are generalized Jensen-Shannon."""
    learning_rate: PositiveFloat = 2e-5
    """Peak learning rate, reached after the warm-up; it falls to zero at the end."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DistillationConfig`, over the fields above. The optimizer (`optim`) cannot be changed."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenOnPolicyDistillation:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: there is no such teacher, or `options` chooses an optimizer.
        """
        opened = OpenOnPolicyDistillation(self, resolve_model(self.teacher))
        import selfimprove.training.generating_trainers  # noqa: F401

        return opened


class OpenOnPolicyDistillation(TRLTrainer[OnPolicyDistillation]):
    """On-policy distillation in the process that trains."""

    def __init__(self, part: OnPolicyDistillation, teacher: Path) -> None:
        """`teacher` is the folder of the teacher's model."""
        super().__init__(part)
        self._teacher = teacher

    def train(self, start: Checkpoint, rows: Sequence[AcceptedTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Train `start`, the student, on the questions of the rows and save it into `into`; each optimizer step is yielded as soon as it is done.

        The loss of a step is the divergence per token, in nats. Closing the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no rows, or student and teacher have different vocabularies.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        if not rows:
            raise UserError("there are no questions to distil on")
        tokenizer, theirs = load_tokenizer(start), AutoTokenizer.from_pretrained(self._teacher, local_files_only=True)
        if tokenizer.get_vocab() != theirs.get_vocab():
            raise UserError(f"teacher {self._teacher} and the student have different vocabularies: train on the teacher's traces instead (SFT)")
        chats = {row.problem_id: {"prompt": list(row.messages)} for row in rows}
        yield from run_training(
            lambda on_step: self._fit(start, tokenizer, list(chats.values()), seed, on_step), Path(start.path), into, self._part.threads, FIGURES
        )

    def _fit(self, start: Checkpoint, tokenizer: Any, chats: list[dict[str, Any]], seed: int, on_step: OnStep) -> Any:
        """The trained student."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.generating_trainers import DistillationTrainer, ending_at
        from selfimprove.training.precision import computing_type
        from selfimprove.training.small.lean_loop import fit

        with tempfile.TemporaryDirectory() as scratch:
            student = AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True)
            with ending_at(end_of_turn(tokenizer), student):
                trainer = DistillationTrainer(
                    model=student,
                    teacher_model=AutoModelForCausalLM.from_pretrained(self._teacher, dtype=computing_type(), local_files_only=True),
                    args=self._settings(scratch, seed, len(chats)),
                    train_dataset=Dataset.from_list(chats),
                    processing_class=tokenizer,
                )
            return fit(trainer, on_step)

    def _settings(self, scratch: str, seed: int, questions: int) -> Any:
        from trl import DistillationConfig

        from selfimprove.training.small.lean_loop import quiet_settings

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
