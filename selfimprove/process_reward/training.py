"""Trains a process reward model: labelled traces in, a token classifier out, with its calibration and its quality on held-out problems."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.process_reward.quality import StepQuality, measure
from selfimprove.process_reward.reading import read
from selfimprove.process_reward.scoring import Reading
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, Resources, Trainer
from selfimprove.records import Checkpoint, LabelledTrace, Problem, TrainingStep
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.seeds import derive_seed
from selfimprove.training.malloc import keep_freed_memory
from selfimprove.training.training_thread import OnStep, run_training

QUALITY = "process_reward.json"
"""The file in the checkpoint's folder that holds its `StepQuality`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class RewardTrainer(Trainer):
    """Fine-tunes every weight of a language model, its head replaced by one of a single label without bias, with AdamW.

    Binary cross-entropy on soft labels at the ends of thoughts. Computes in bfloat16 where the machine is fast at it and keeps float32 masters.
    """

    epochs: PositiveFloat = 2.0
    """How often every labelled trace is gone over."""
    learning_rate: PositiveFloat = 1e-4
    """The peak: reached after the warm-up, zero at the end."""
    batch_size: PositiveInt = 16
    """Traces in one optimizer step."""
    max_length: PositiveInt = 512
    """The most tokens of prompt and thoughts."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's, of weight matrices; 0: none."""
    balance: bool = True
    """Good and bad thoughts count the same in all, however many there are of each; calibration takes that out of the probabilities again."""
    eval_problems: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the problems whose traces are not trained on: they calibrate the model and measure it."""
    prompter: Prompter = PlainQuestion()
    """How questions are put: as in scoring."""
    delimiters: Delimiters = THINK
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to transformers' `TrainingArguments` as they are, over the fields above; all but the choice of the optimizer (`optim`)."""
    threads: PositiveInt | None = None
    """Threads that torch computes with; None: one for every core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenRewardTrainer:
        """Load torch and transformers.

        Raises:
            UserError: `options` chooses an optimizer.
        """
        if "optim" in self.options:
            raise UserError("RewardTrainer trains with AdamW on float32 masters: take `optim` out of its options")
        return OpenRewardTrainer(self)


class OpenRewardTrainer:
    """A trainer in the process that trains."""

    def __init__(self, part: RewardTrainer) -> None:
        """Import what training needs: some seconds."""
        import selfimprove.process_reward.step_trainer  # noqa: F401

        keep_freed_memory()
        self._part = part

    def train(self, start: Checkpoint, rows: Sequence[LabelledTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Train on the traces of most problems, calibrate and measure on those of the others, and save into `into`.

        The same start, rows and seed give the same weights on one kind of machine.

        Raises:
            UserError: there are labels of fewer than two problems; a trace is longer than `max_length`, or its tokens do not show its thoughts.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(start.path, local_files_only=True)
        learnt, kept = split([row for row in rows if any(label is not None for label in row.labels)], self._part.eval_problems, seed)
        examples, measured_on = ([self._example(tokenizer, row) for row in part] for part in (learnt, kept))
        problems = [row.problem_id for row in kept for label in row.labels if label is not None]
        found: list[StepQuality] = []

        def fit(on_step: OnStep) -> Any:
            model = self._fit(start, examples, seed, on_step)
            found.append(self._calibrate(model, measured_on, problems))
            return model

        yield from run_training(fit, Path(start.path), into, threads=self._part.threads)
        (into / QUALITY).write_text(json.dumps(asdict(found[0]), indent=2) + "\n")

    def agreement(self, start: Checkpoint, rows: object, asked: object) -> int:
        """Nothing that was sampled is trained on token for token: thoughts are tokenized apart."""
        return 0

    def close(self) -> None:
        """Nothing stays open between two trainings."""

    def _example(self, tokenizer: Any, row: LabelledTrace) -> dict[str, Any]:
        asked = self._part.prompter.messages(Problem(row.problem_id, row.prompt, "", ""))
        ids, ends = read(tokenizer, asked, self._part.delimiters.begin, row.thoughts)
        if len(ids) > self._part.max_length:
            raise UserError(f"trace {row.trace_id} has {len(ids)} tokens, more than max_length={self._part.max_length}: raise it, or leave it out")
        require_thought_ends(tokenizer, row, ids, ends)
        labelled = [(end, label) for end, label in zip(ends, row.labels, strict=True) if label is not None]
        return {"input_ids": ids, "positions": [end for end, _ in labelled], "labels": [float(label) for _, label in labelled]}

    def _fit(self, start: Checkpoint, examples: list[dict[str, Any]], seed: int, on_step: OnStep) -> Any:
        """The trained model, in bfloat16 as it will be saved."""
        import torch

        from selfimprove.process_reward.step_trainer import StepTrainer
        from selfimprove.training.lean_loop import computing_type

        labels = [label for example in examples for label in example["labels"]]
        mean = sum(labels) / len(labels)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = StepTrainer(
                model=load_headless(start.path, seed),
                dtype=computing_type(),
                on_step=on_step,
                positive_weight=(1 - mean) / mean if self._part.balance and 0 < mean < 1 else 1.0,
                args=self._settings(scratch, seed, len(examples)),
                train_dataset=examples,
            )
            trainer.train()
        return trainer.model.to(torch.bfloat16)

    def _calibrate(self, model: Any, examples: list[dict[str, Any]], problems: Sequence[str]) -> StepQuality:
        """Measure the model on held-out traces and write into its configuration how it reads and speaks."""
        from selfimprove.process_reward.step_trainer import all_logits

        logits = list(all_logits(model, examples, self._part.batch_size))
        quality = measure(logits, [label for example in examples for label in example["labels"]], problems)
        model.config.process_reward = asdict(Reading(self._part.delimiters.begin, quality.center, quality.scale))
        return quality

    def _settings(self, scratch: str, seed: int, rows: int) -> Any:
        from transformers import TrainingArguments

        from selfimprove.training.lean_loop import quiet_settings

        part = self._part
        ours = {
            "max_steps": max(1, math.ceil(part.epochs * math.ceil(rows / part.batch_size))),
            "learning_rate": part.learning_rate,
            "per_device_train_batch_size": part.batch_size,
            "warmup_steps": part.warmup,
            "weight_decay": part.weight_decay,
            "remove_unused_columns": False,
        }
        return TrainingArguments(**{**quiet_settings(scratch, seed), **ours, **part.options})


def split(rows: Sequence[LabelledTrace], share: float, seed: int) -> tuple[list[LabelledTrace], list[LabelledTrace]]:
    """The rows to train on and those held out, by problem: no problem is in both.

    Raises:
        UserError: there are fewer than two problems.
    """
    problems = sorted({row.problem_id for row in rows}, key=lambda name: derive_seed(seed, "held out", name))
    if len(problems) < 2:
        raise UserError(f"labels of {len(problems)} problems: a process reward model needs two, one of them held out; label traces of more problems")
    kept = set(problems[: min(len(problems) - 1, math.ceil(share * len(problems)))])
    return [row for row in rows if row.problem_id not in kept], [row for row in rows if row.problem_id in kept]


def require_thought_ends(tokenizer: Any, row: LabelledTrace, ids: Sequence[int], ends: Sequence[int]) -> None:
    """Show that the scored positions are the thoughts' ends: the tokens that follow one of them, up to the next, say the next thought.

    Raises:
        UserError: they do not.
    """
    for thought, before, end in zip(row.thoughts, [-1, *ends], ends, strict=False):
        said = tokenizer.decode(ids[before + 1 : end + 1], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # Before the first thought is the prompt.
        if not said.rstrip().endswith(thought.strip()):
            raise UserError(f"trace {row.trace_id}: the tokens of thought {thought[:60]!r} say {said[-60:]!r}; this tokenizer cannot show it")


def load_headless(path: str, seed: int) -> Any:
    """The language model with a fresh head of one label and no bias, in float32; vLLM's pooling runner, reloading weights, knows no bias."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    config = AutoConfig.from_pretrained(path, local_files_only=True, num_labels=1)
    config.token_classification_bias, config.classifier_dropout = False, 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**32)
        return AutoModelForTokenClassification.from_pretrained(path, config=config, dtype="float32", local_files_only=True)
