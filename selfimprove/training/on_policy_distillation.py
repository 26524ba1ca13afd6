"""On-policy distillation with TRL: questions in, a student that answers like its teacher out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Trainer
from selfimprove.records import AcceptedTrace, Checkpoint, TrainingStep
from selfimprove.records.numbers import Float, PositiveFloat, PositiveInt
from selfimprove.training.engine import Engine, require_engine, takes_small
from selfimprove.training.malloc import KeepsFreedMemory
from selfimprove.training.open_trainer import TRLTrainer, load_tokenizer
from selfimprove.training.small.distillation import fit_small_student
from selfimprove.training.training_thread import run_training
from selfimprove.training.trl.distillation import FIGURES, DistillationJob
from selfimprove.training.trl.launch import launch


@dataclass(frozen=True, config={"extra": "forbid"})
class OnPolicyDistillation(KeepsFreedMemory, Trainer):
    """Has the student answer, and moves its distribution after each of its own tokens towards the teacher's.

    On-policy distillation: Agarwal et al. 2024, with TRL's `DistillationTrainer` and AdamW. Only the questions of the rows are used. The student
    should already answer in the teacher's form, as after training on its traces, because it learns from its own completions alone. The training
    process samples them itself, without vLLM. Computes in bfloat16 on machines that are fast at it and keeps float32 weights for the optimizer.
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
    engine: Engine = "auto"
    """What trains. `trl`: TRL's `DistillationTrainer` with its own optimizer. `small`: the same on weights in bfloat16 with float32 masters, which is
    faster for small models on a CPU. `auto`: `small` without a GPU, if `options` sets no optimizer; else `trl`."""
    tokens_per_device: PositiveInt | None = None
    """Most tokens of prompts and completions in one forward and backward pass: a step with more is computed in several parts (gradient
    accumulation), with the same loss. One completion is the least. None: 16,384 on a GPU, 2,048 on a CPU. `small` computes each step in one part."""
    activation_checkpointing: bool | None = None
    """Whether activations are computed again in the backward pass, which saves memory and takes a third more time. None: where an estimate says
    that a step would not fit otherwise. Not for `small`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `DistillationConfig`, over the fields above."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenOnPolicyDistillation:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: there is no such teacher, or `options` chooses an optimizer for `small`.
        """
        require_engine(self)
        opened = OpenOnPolicyDistillation(self, resolve_model(self.teacher))
        import selfimprove.training.generating_trainers  # noqa: F401

        return opened


class OpenOnPolicyDistillation(TRLTrainer[OnPolicyDistillation]):
    """On-policy distillation in the process that trains."""

    any_optimizer = True

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
        chats = list({row.problem_id: {"prompt": list(row.messages)} for row in rows}.values())
        part, folder, own = self._part, str(self._teacher), self._arguments()
        if takes_small(part):
            arguments = {"per_device_train_batch_size": min(part.batch_size, len(chats)), **own}
            yield from run_training(
                lambda on_step: fit_small_student(start.path, folder, chats, arguments, seed, on_step), Path(start.path), into, part.threads, FIGURES
            )
        else:
            job = DistillationJob.of(part, start, own, seed, teacher=folder, chats=chats, max_tokens=part.max_tokens)
            yield from launch(job, into, threads=part.threads)

    def _arguments(self) -> dict[str, Any]:
        """Arguments of TRL's `DistillationConfig` for both engines."""
        part = self._part
        ours = {
            "max_steps": part.steps,
            "learning_rate": part.learning_rate,
            "beta": part.divergence,
            "temperature": part.temperature,
            "max_completion_length": part.max_tokens,
            "warmup_steps": part.warmup,
        }
        return {**ours, **part.options}
