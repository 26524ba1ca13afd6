"""Reinforcement learning with verifiable rewards, with TRL: problems in, the next checkpoint out."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import OpenVerifiers, Reinforcer, Resources, Verifiers
from selfimprove.records import AcceptedTrace, Checkpoint, Message, Outcome, ReinforcementPrompt, Trace, TrainingStep
from selfimprove.thinking.traces import parsed
from selfimprove.training.agreement import require_agreement
from selfimprove.training.malloc import keep_freed_memory
from selfimprove.training.rows import end_of_turn, tokenize_prompt
from selfimprove.training.training_thread import OnStep, run_training

REWARDS = {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.UNPARSEABLE: 0.0}
"""What a verdict is worth; a rollout whose verdict is undecided has no reward and takes no part."""
FIGURES = {
    "reward": "reward",
    "rollouts": "rollouts",
    "rollouts_right": "rollouts_right",
    "rollouts_undecided": "rollouts_undecided",
    "rollout_tokens": "rollout_tokens",
    "equal_groups": "frac_reward_zero_std",
    "entropy": "entropy",
}
"""What is kept of each step, and TRL's name for it: the mean reward; counts of rollouts and of their tokens; the share of groups whose rewards are
all equal, so that they teach nothing; the entropy of the model's choices, in nats."""


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class GRPO(Reinforcer):
    """Samples groups of rollouts, has them judged, and makes those better than their group likelier, with TRL's `GRPOTrainer` and AdamW.

    GRPO: Shao et al. 2024, "DeepSeekMath"; with rewards from a verifier as in DeepSeek-AI 2025, "DeepSeek-R1". Rollouts are sampled by the model that
    trains, in its process, without vLLM. Computes in bfloat16 where the machine is fast at it and keeps float32 masters of the weights.
    """

    steps: PositiveInt = 20
    """Optimizer steps."""
    problems_per_step: PositiveInt = 8
    """Problems that are tried in one optimizer step."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """Rollouts of each problem: what one is compared with."""
    temperature: PositiveFloat = 1.0
    """Of the rollouts."""
    max_tokens: PositiveInt = 256
    """The most tokens of a rollout, thinking and answer."""
    learning_rate: PositiveFloat = 1e-6
    """The peak: reached after the warm-up, zero at the end."""
    beta: NonNegativeFloat = 0.0
    """Weight of the KL divergence from where it started; 0 leaves it out."""
    format_reward: NonNegativeFloat = 0.0
    """Added for a rollout that thinks once, in one closed block, and ends its turn, right or wrong (DeepSeek-R1's format reward)."""
    rows_at_once: PositiveInt = 16
    """The most rollouts in one forward and backward pass: bounds memory, changes no figure."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `GRPOConfig` as they are, over the fields above; all but the choice of the optimizer (`optim`)."""
    verifiers: Verifiers | None = None
    """Who says what is right; None: the workflow's verifier, in processes that are killed at its deadline."""
    threads: PositiveInt | None = None
    """Threads that torch computes with; None: one for every core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenGRPO:
        """Load torch and TRL.

        Raises:
            UserError: there is no verifiers, or `options` chooses an optimizer.
        """
        if self.verifiers is None:
            raise UserError("GRPO has no verifiers: outside a workflow, give it verifiers=VerifierPool(verifier)")
        if "optim" in self.options:
            raise UserError("GRPO trains with AdamW on float32 masters: take `optim` out of its options")
        return OpenGRPO(self, self.verifiers)


class OpenGRPO:
    """A trainer in the process that trains."""

    def __init__(self, part: GRPO, verifiers: Verifiers) -> None:
        """Import what training needs: some seconds."""
        import selfimprove.training.grpo_trainer  # noqa: F401

        keep_freed_memory()
        self._part, self._verifiers = part, verifiers

    def train(self, start: Checkpoint, rows: Sequence[ReinforcementPrompt], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Practise on problems from `start` on and save into `into`; each optimizer step is yielded as soon as it is done.

        Whoever closes the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no problems.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        from transformers import AutoTokenizer

        if not rows:
            raise UserError("there are no problems to practise on")
        tokenizer = AutoTokenizer.from_pretrained(start.path, local_files_only=True)
        with closing(self._verifiers.open()) as verifiers:
            rewarding = _Rewarding(rows, tokenizer, verifiers, self._part.format_reward)
            yield from run_training(
                lambda on_step: self._fit(start, tokenizer, rewarding, seed, on_step), Path(start.path), into, self._part.threads, FIGURES
            )

    def agreement(self, start: Checkpoint, rows: Sequence[tuple[AcceptedTrace, Trace]], asked: Sequence[tuple[Sequence[Message], Trace]]) -> int:
        """Compare the ids of completions and prompts, token for token; how many were equal.

        Raises:
            UserError: two differ.
        """
        return require_agreement(Path(start.path), rows, asked)

    def close(self) -> None:
        """Nothing stays open between two trainings."""

    def _fit(self, start: Checkpoint, tokenizer: Any, rewarding: _Rewarding, seed: int, on_step: OnStep) -> Any:
        """The trained model."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.grpo_trainer import GroupTrainer
        from selfimprove.training.lean_loop import computing_type

        prompts = [{"prompt": list(exercise.messages), "place": place} for place, exercise in enumerate(rewarding.exercises)]
        with tempfile.TemporaryDirectory() as scratch:
            trainer = GroupTrainer(
                model=AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True),
                dtype=computing_type(),
                on_step=lambda step, steps, measured: on_step(step, steps, {**measured, **rewarding.counted()}),
                reward=rewarding.rewards,
                end=rewarding.end,
                args=self._settings(scratch, seed, len(prompts)),
                train_dataset=Dataset.from_list(prompts),
                processing_class=tokenizer,
            )
            trainer.train()
        return trainer.model

    def _settings(self, scratch: str, seed: int, problems: int) -> Any:
        from trl import GRPOConfig

        from selfimprove.training.lean_loop import quiet_settings

        part = self._part
        rollouts = min(part.problems_per_step, problems) * part.group_size
        at_once = next(size for size in range(min(part.rows_at_once, rollouts), 0, -1) if rollouts % size == 0)
        ours = {
            "max_steps": part.steps,
            "learning_rate": part.learning_rate,
            "beta": part.beta,
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": rollouts // at_once,
            "num_generations": part.group_size,
            "temperature": part.temperature,
            "max_completion_length": part.max_tokens,
            "warmup_steps": part.warmup,
        }
        return GRPOConfig(**{**quiet_settings(scratch, seed), **ours, **part.options})


class _Rewarding:
    """Has rollouts judged, and counts them until the step that they belong to is done."""

    def __init__(self, exercises: Sequence[ReinforcementPrompt], tokenizer: Any, verifiers: OpenVerifiers, format_reward: float) -> None:
        self.exercises, self.end = exercises, end_of_turn(tokenizer)
        self._tokenizer, self._verifiers, self._format_reward = tokenizer, verifiers, format_reward
        self._ends = {self.end, tokenizer.eos_token_id}
        prompts = [tokenize_prompt(tokenizer, exercise.messages) for exercise in exercises]
        self._opened = [tokenizer.decode(ids).rstrip().endswith(one.delimiters.begin) for ids, one in zip(prompts, exercises, strict=True)]
        self._counts: Counter[str] = Counter()

    def rewards(self, places: list[int], outputs: list[list[int]]) -> list[float | None]:
        """What each output is worth, given the place of its exercise; None where the verdict is undecided."""
        traces = [self._trace(place, ids) for place, ids in zip(places, outputs, strict=True)]
        verdicts = self._verifiers.verify([(self.exercises[place].problem, trace) for place, trace in zip(places, traces, strict=True)])
        self._counts["rollouts"] += len(traces)
        self._counts["rollout_tokens"] += sum(map(len, outputs))
        self._counts["rollouts_right"] += sum(verdict.outcome is Outcome.CORRECT for verdict in verdicts)
        self._counts["rollouts_undecided"] += sum(verdict.outcome not in REWARDS for verdict in verdicts)
        return [
            REWARDS[verdict.outcome] + self._format_reward * _well_formed(trace) if verdict.outcome in REWARDS else None
            for trace, verdict in zip(traces, verdicts, strict=True)
        ]

    def counted(self) -> dict[str, float]:
        """What was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _trace(self, place: int, ids: list[int]) -> Trace:
        exercise, ended = self.exercises[place], bool(ids) and ids[-1] in self._ends
        # Delimiters may be special tokens.
        text = self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        name, finish = exercise.problem.id, "stop" if ended else "length"
        return Trace(f"{name}/rollout", name, "rollout", (), tuple(ids), text, (), finish, 1.0, 0, exercise.delimiters, self._opened[place])


def _well_formed(trace: Trace) -> bool:
    return trace.finish_reason == "stop" and not parsed(trace).flags
