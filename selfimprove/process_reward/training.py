"""Trains a process reward model: labelled traces in, a token classifier out, with its calibration and its quality on held-out problems."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.process_reward.quality import StepQuality, measure
from selfimprove.process_reward.reading import read
from selfimprove.process_reward.scoring import Reading
from selfimprove.process_reward.step_job import StepJob, load_headless
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.protocols import Prompter, Resources, Trainer
from selfimprove.records import Checkpoint, LabelledTrace, Problem, TrainingStep
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.seeds import derive_seed
from selfimprove.training.engine import Engine, require_engine, takes_small
from selfimprove.training.malloc import KeepsFreedMemory
from selfimprove.training.open_trainer import RowTrainer, load_tokenizer
from selfimprove.training.training_thread import OnStep, run_training
from selfimprove.training.trl.budget import tokens_at_once
from selfimprove.training.trl.launch import fit_here

QUALITY = "process_reward.json"
"""The file in the checkpoint's folder that holds its `StepQuality`."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class RewardTrainer(KeepsFreedMemory, Trainer):
    """Fine-tunes all weights of a language model, its head replaced by one with a single label and no bias, with AdamW.

    The loss is binary cross-entropy on soft labels at the ends of thoughts. Computes in bfloat16 on machines that are fast at it and keeps float32
    weights for the optimizer.
    """

    epochs: PositiveFloat = 2.0
    """Passes over the labelled traces."""
    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate, reached after the warm-up; it falls to zero at the end."""
    batch_size: PositiveInt = 16
    """Traces in one optimizer step."""
    max_length: PositiveInt = 512
    """Maximum number of tokens in a prompt with its thoughts. Longer traces are dropped, and the run says how many."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's weight decay, on weight matrices only."""
    balance: bool = True
    """Whether good and bad thoughts get the same total weight, however many there are of each. Calibration removes the effect on probabilities."""
    eval_problems: Annotated[Float, Field(gt=0, lt=1)] = 0.2
    """Share of the problems whose traces are held out from training to calibrate and measure the model."""
    prompter: Prompter = PlainQuestion()
    """How questions are put to the model, in training and in scoring."""
    delimiters: Delimiters = THINK
    engine: Engine = "auto"
    """What trains. `trl`: transformers' `Trainer` with its own optimizer. `small`: the same on weights in bfloat16 with float32 masters, which is
    faster for small models on a CPU. `auto`: `small` without a GPU, if `options` sets no optimizer; else `trl`."""
    tokens_per_device: PositiveInt | None = None
    """Most tokens in one forward and backward pass, padding included: a step with more is computed in several parts (gradient accumulation), with the
    same loss. One trace is the least. None: 16,384 on a GPU, 2,048 on a CPU. `small` computes each step in one part."""
    activation_checkpointing: bool | None = None
    """Whether activations are computed again in the backward pass, which saves memory and takes a third more time. None: where an estimate says
    that a step would not fit otherwise. Not for `small`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to transformers' `TrainingArguments`, over the fields above."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenRewardTrainer:
        """Load torch and transformers, which takes some seconds.

        Raises:
            UserError: `options` chooses an optimizer for `small`.
        """
        require_engine(self)
        opened = OpenRewardTrainer(self)
        import selfimprove.process_reward.step_trainer  # noqa: F401

        return opened


class OpenRewardTrainer(RowTrainer[RewardTrainer]):
    """Training of a reward model in the process that trains."""

    kind = "traces"
    any_optimizer = True

    def train(self, start: Checkpoint, rows: Sequence[LabelledTrace], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Train on the traces of most problems, calibrate and measure on those of the others, and save the model into `into`.

        The same start, rows and seed give the same weights on the same kind of machine.

        Raises:
            UserError: fewer than two problems have labels; no trace fits into `max_length`; or the tokens of a trace do not show its thoughts.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        tokenizer = load_tokenizer(start)
        labelled = [row for row in rows if any(label is not None for label in row.labels)]
        known = {labelled[place].trace_id: example for place, example in self._examples(tokenizer, labelled)}
        learnt, kept = split([row for row in labelled if row.trace_id in known], self._part.eval_problems, seed)
        examples, measured_on = ([known[row.trace_id] for row in part] for part in (learnt, kept))
        problems = [row.problem_id for row in kept for label in row.labels if label is not None]
        found: list[StepQuality] = []

        def fit(on_step: OnStep) -> Any:
            model = self._fit(start, examples, seed, on_step)
            found.append(self._calibrate(model, measured_on, problems))
            return model

        yield from run_training(fit, Path(start.path), into, threads=self._part.threads)
        (into / QUALITY).write_text(json.dumps(asdict(found[0]), indent=2) + "\n")

    def agreement(self, start: Checkpoint, rows: object, asked: object) -> int:
        """Compare nothing: thoughts are tokenized apart, so no sampled tokens are trained on."""
        return 0

    def _example(self, tokenizer: Any, row: LabelledTrace) -> dict[str, Any]:
        asked = self._part.prompter.messages(Problem(row.problem_id, row.prompt, "", ""))
        ids, ends = read(tokenizer, asked, self._part.delimiters.begin, row.thoughts)
        require_thought_ends(tokenizer, row, ids, ends)
        labelled = [(end, label) for end, label in zip(ends, row.labels, strict=True) if label is not None]
        return {"input_ids": ids, "positions": [end for end, _ in labelled], "labels": [float(label) for _, label in labelled]}

    def _length(self, example: dict[str, Any]) -> int:
        return len(example["input_ids"])

    def _fit(self, start: Checkpoint, examples: list[dict[str, Any]], seed: int, on_step: OnStep) -> Any:
        """The trained model in bfloat16, as it will be saved."""
        import torch

        part, own = self._part, self._arguments(len(examples))
        labels = [label for example in examples for label in example["labels"]]
        mean = sum(labels) / len(labels)
        positive = (1 - mean) / mean if part.balance and 0 < mean < 1 else 1.0
        if takes_small(part):
            model = self._fit_small(start, examples, positive, {"per_device_train_batch_size": part.batch_size, **own}, seed, on_step)
        else:
            model = fit_here(StepJob.of(part, start, own, seed, examples=examples, positive_weight=positive), on_step)
        return model.to(torch.bfloat16)

    def _fit_small(
        self, start: Checkpoint, examples: list[dict[str, Any]], positive: float, arguments: dict[str, Any], seed: int, on_step: OnStep
    ) -> Any:
        from transformers import TrainingArguments

        from selfimprove.process_reward.step_trainer import StepCollator, Weights, step_trainer
        from selfimprove.training.small.lean_loop import fit, quiet_settings

        model, weights = load_headless(start.path, seed), Weights(positive)
        with tempfile.TemporaryDirectory() as scratch:
            settings = TrainingArguments(**{**quiet_settings(scratch, seed), **arguments})
            return fit(step_trainer(model, settings, weights, examples, StepCollator(weights)), on_step)

    def _calibrate(self, model: Any, examples: list[dict[str, Any]], problems: Sequence[str]) -> StepQuality:
        """Measure the model on held-out traces and write its calibration into its configuration."""
        from selfimprove.process_reward.step_trainer import all_logits

        part = self._part
        rows = part.batch_size if takes_small(part) else max(1, tokens_at_once(part.tokens_per_device) // max(map(self._length, examples)))
        logits = list(all_logits(model, examples, rows))
        quality = measure(logits, [label for example in examples for label in example["labels"]], problems)
        model.config.process_reward = asdict(Reading(part.delimiters.begin, quality.center, quality.scale))
        return quality

    def _arguments(self, rows: int) -> dict[str, Any]:
        """Transformers' `TrainingArguments` for both engines."""
        part = self._part
        ours = {
            "max_steps": max(1, math.ceil(part.epochs * math.ceil(rows / part.batch_size))),
            "learning_rate": part.learning_rate,
            "warmup_steps": part.warmup,
            "weight_decay": part.weight_decay,
            "include_num_input_tokens_seen": "non_padding",
            "remove_unused_columns": False,
        }
        return {**ours, **part.options}


def split(rows: Sequence[LabelledTrace], share: float, seed: int) -> tuple[list[LabelledTrace], list[LabelledTrace]]:
    """Split the rows by problem into those to train on and those held out.

    Raises:
        UserError: there are fewer than two problems.
    """
    problems = sorted({row.problem_id for row in rows}, key=lambda name: derive_seed(seed, "held out", name))
    if len(problems) < 2:
        raise UserError(
            f"labels of {len(problems)} problems: a process reward model needs two or more, to hold one out; label traces of more problems"
        )
    kept = set(problems[: min(len(problems) - 1, math.ceil(share * len(problems)))])
    return [row for row in rows if row.problem_id not in kept], [row for row in rows if row.problem_id in kept]


def require_thought_ends(tokenizer: Any, row: LabelledTrace, ids: Sequence[int], ends: Sequence[int]) -> None:
    """Check that the scored positions are the ends of the thoughts: the tokens between two of them must decode to a thought.

    Raises:
        UserError: some do not.
    """
    for thought, before, end in zip(row.thoughts, [-1, *ends], ends, strict=False):
        said = tokenizer.decode(ids[before + 1 : end + 1], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # The prompt precedes the first thought.
        if not said.rstrip().endswith(thought.strip()):
            raise UserError(f"trace {row.trace_id}: the tokens of thought {thought[:60]!r} decode to {said[-60:]!r}; use another tokenizer")
