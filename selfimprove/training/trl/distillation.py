"""On-policy distillation with TRL's `DistillationTrainer` as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.training.rows import tokenize_prompt
from selfimprove.training.trl.budget import recomputing, refuse_planned, tokens_at_once
from selfimprove.training.trl.full_steps import rows_at_once
from selfimprove.training.trl.job import Job

FIGURES = {"output_tokens": "completions/mean_length", "clipped": "completions/clipped_ratio", "entropy": "entropy"}
"""Figures kept of each step, with TRL's names for them: mean length of the student's completions, share cut off by the token limit, and entropy of
the student's distributions in nats."""


@dataclass(frozen=True, kw_only=True)
class DistillationJob(Job):
    """One on-policy distillation. TRL divides the completions of a step into passes, and takes its loss over all tokens of the step."""

    teacher: str
    """The folder of the teacher."""
    chats: list[dict[str, Any]]
    """Each has its messages as `prompt`."""
    max_tokens: int
    """Most tokens of a completion."""

    figures = FIGURES

    def arguments(self, shared: dict[str, Any], workers: int) -> Any:
        """A `DistillationConfig`.

        Raises:
            UserError: `own` divides the steps in another way.
        """
        from transformers import AutoTokenizer
        from trl import DistillationConfig

        refuse_planned("OnPolicyDistillation", self.own)
        tokenizer = AutoTokenizer.from_pretrained(self.start, local_files_only=True)
        longest = max(len(tokenize_prompt(tokenizer, chat["prompt"])) for chat in self.chats) + self.max_tokens
        size = min(self.batch_size, len(self.chats))
        at_once = rows_at_once(size, longest, tokens_at_once(self.tokens))
        ours = {
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": size // at_once,
            **recomputing(self.activation_checkpointing, self.start, at_once * longest, workers, shared),
        }
        return DistillationConfig(**{**shared, **ours, **self.own})

    def load(self, empty: bool = False) -> Any:
        """The student in float32."""
        from selfimprove.training.trl.models import load_causal_lm

        return load_causal_lm(self.start, empty=empty, padded=True)

    def trainer(self, model: Any, arguments: Any) -> Any:
        """A `DistillationTrainer` on the questions."""
        return distillation_trainer(model, arguments, self.start, self.teacher, self.chats)


def distillation_trainer(student: Any, arguments: Any, start: str, teacher: str, chats: list[dict[str, Any]]) -> Any:
    """A `DistillationTrainer` with the tokenizer of the folder `start`, whose completions end at the end of a turn too.

    The teacher is the model of a folder, in the computing type.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfimprove.checkpoints.precision import computing_type
    from selfimprove.training.generating_trainers import DistillationTrainer, ending_at

    tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
    with ending_at(end_of_turn(tokenizer), student):
        return DistillationTrainer(
            model=student,
            teacher_model=AutoModelForCausalLM.from_pretrained(teacher, dtype=computing_type(), local_files_only=True),
            args=arguments,
            train_dataset=Dataset.from_list(chats),
            processing_class=tokenizer,
        )
