"""Reinforcement learning with verifiable rewards, with TRL: prompts in, the next checkpoint out."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import OpenVerifiers, Reinforcer, Resources, Verifiers
from selfimprove.records import Checkpoint, Outcome, ReinforcementPrompt, Trace, TrainingStep
from selfimprove.records.numbers import Float, Int, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.thinking.traces import parsed
from selfimprove.training.open_trainer import TRLTrainer, load_tokenizer
from selfimprove.training.rows import end_of_turn, tokenize_prompt
from selfimprove.training.training_thread import OnStep, run_training

REWARDS = {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.UNPARSEABLE: 0.0}
"""Reward by verdict. A rollout with an undecided verdict has no reward and is left out."""
FIGURES = {
    "reward": "reward",
    "rollouts": "rollouts",
    "rollouts_right": "rollouts_right",
    "rollouts_undecided": "rollouts_undecided",
    "rollout_tokens": "rollout_tokens",
    "equal_groups": "frac_reward_zero_std",
    "entropy": "entropy",
}
"""Figures kept of each step, with TRL's names for them: mean reward; counts of rollouts and of their tokens; share of groups in which all rewards are
equal, which teach nothing; entropy of the model's distributions in nats."""


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class GRPO(Reinforcer):
    """Samples groups of rollouts, verifies them, and makes those better than their group likelier, with TRL's `GRPOTrainer` and AdamW.

    GRPO: Shao et al. 2024, "DeepSeekMath"; with rewards from a verifier as in DeepSeek-AI 2025, "DeepSeek-R1". The training process samples the
    rollouts itself, without vLLM. Computes in bfloat16 on machines that are fast at it and keeps float32 masters of the weights.
    """

    steps: PositiveInt = 20
    """Optimizer steps."""
    problems_per_step: PositiveInt = 8
    """Problems in one optimizer step."""
    group_size: Annotated[Int, Field(ge=2)] = 8
    """Rollouts of each problem, which are compared with one another."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature of the rollouts."""
    max_tokens: PositiveInt = 256
    """Maximum number of tokens in a rollout, thinking and answer."""
    learning_rate: PositiveFloat = 1e-6
    """Peak learning rate, reached after the warm-up; it falls to zero at the end."""
    beta: NonNegativeFloat = 0.0
    """Weight of the KL divergence from the starting model; 0 leaves it out."""
    format_reward: NonNegativeFloat = 0.0
    """Added for a rollout that thinks once, in one closed block, and ends its turn, right or wrong (DeepSeek-R1's format reward)."""
    partial_credit: bool = False
    """Whether a wrong answer is rewarded with its score, if the verifier gives partial credit; otherwise its reward is 0."""
    rows_at_once: PositiveInt = 16
    """Maximum number of rollouts in one forward and backward pass. It bounds memory and changes no figure."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `GRPOConfig`, over the fields above. The optimizer (`optim`) cannot be changed."""
    verifiers: Verifiers | None = None
    """Verifiers of the rollouts. None: the workflow's verifier, in processes that are killed at its deadline."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    def open(self) -> OpenGRPO:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: there are no verifiers, or `options` chooses an optimizer.
        """
        if self.verifiers is None:
            raise UserError("GRPO has no verifiers: outside a workflow, set verifiers=VerifierPool(verifier)")
        opened = OpenGRPO(self, self.verifiers)
        import selfimprove.training.generating_trainers  # noqa: F401

        return opened


class OpenGRPO(TRLTrainer[GRPO]):
    """Reinforcement in the process that trains."""

    def __init__(self, part: GRPO, verifiers: Verifiers) -> None:
        """`verifiers` are opened for each training."""
        super().__init__(part)
        self._verifiers = verifiers

    def train(self, start: Checkpoint, rows: Sequence[ReinforcementPrompt], into: Path, seed: int) -> Iterator[TrainingStep]:
        """Reinforce `start` on prompts and save the model into `into`; each optimizer step is yielded as soon as it is done.

        Closing the iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no prompts.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no problems to reinforce on")
        tokenizer = load_tokenizer(start)
        with closing(self._verifiers.open()) as verifiers:
            rewards = Rewards(rows, tokenizer, verifiers, self._part.format_reward, self._part.partial_credit)
            yield from run_training(
                lambda on_step: self._fit(start, tokenizer, rewards, seed, on_step), Path(start.path), into, self._part.threads, FIGURES
            )

    def _fit(self, start: Checkpoint, tokenizer: Any, rewards: Rewards, seed: int, on_step: OnStep) -> Any:
        """The trained model."""
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.generating_trainers import GRPOTrainer, ending_at
        from selfimprove.training.small.lean_loop import fit

        def verifier(*, place: list[int], completion_ids: list[list[int]], **_: Any) -> list[float | None]:
            return rewards.of(place, completion_ids)

        chats = [{"prompt": list(prompt.messages), "place": place} for place, prompt in enumerate(rewards.prompts)]
        with tempfile.TemporaryDirectory() as scratch:
            model = AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True)
            with ending_at(rewards.end, model):
                trainer = GRPOTrainer(
                    model=model,
                    reward_funcs=verifier,
                    args=self._settings(scratch, seed, len(chats)),
                    train_dataset=Dataset.from_list(chats),
                    processing_class=tokenizer,
                )
            return fit(trainer, lambda step, steps, measured: on_step(step, steps, {**measured, **rewards.counted()}))

    def _settings(self, scratch: str, seed: int, problems: int) -> Any:
        from trl import GRPOConfig

        from selfimprove.training.small.lean_loop import quiet_settings

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


class Rewards:
    """Verifies rollouts and counts them until the end of their step."""

    def __init__(
        self, prompts: Sequence[ReinforcementPrompt], tokenizer: Any, verifiers: OpenVerifiers, format_reward: float, partial_credit: bool = False
    ) -> None:
        """`format_reward` is added for each well-formed rollout; with `partial_credit`, a wrong one is worth its score."""
        self.prompts, self.end = prompts, end_of_turn(tokenizer)
        self._tokenizer, self._verifiers, self._format_reward = tokenizer, verifiers, format_reward
        self._partial_credit = partial_credit
        self._ends = {self.end, tokenizer.eos_token_id}
        chats = [tokenizer.decode(tokenize_prompt(tokenizer, prompt.messages)) for prompt in prompts]
        self._opened = [chat.rstrip().endswith(prompt.delimiters.begin) for chat, prompt in zip(chats, prompts, strict=True)]
        self._counts: Counter[str] = Counter()

    def of(self, places: list[int], outputs: list[list[int]]) -> list[float | None]:
        """The reward of each output, given the place of its prompt; None if the verdict is undecided."""
        traces = [self._trace(place, ids) for place, ids in zip(places, outputs, strict=True)]
        verdicts = self._verifiers.verify([(self.prompts[place].problem, trace) for place, trace in zip(places, traces, strict=True)])
        self._counts["rollouts"] += len(traces)
        self._counts["rollout_tokens"] += sum(map(len, outputs))
        self._counts["rollouts_right"] += sum(verdict.outcome is Outcome.CORRECT for verdict in verdicts)
        self._counts["rollouts_undecided"] += sum(verdict.outcome not in REWARDS for verdict in verdicts)
        return [
            (verdict.score if self._partial_credit else REWARDS[verdict.outcome]) + self._format_reward * _well_formed(trace)
            if verdict.outcome in REWARDS
            else None
            for trace, verdict in zip(traces, verdicts, strict=True)
        ]

    def counted(self) -> dict[str, float]:
        """The counts since the last call."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _trace(self, place: int, ids: list[int]) -> Trace:
        prompt, ended = self.prompts[place], bool(ids) and ids[-1] in self._ends
        # Delimiters may be special tokens.
        text = self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        name, finish = prompt.problem.id, "stop" if ended else "length"
        return Trace(f"{name}/rollout", name, "rollout", (), tuple(ids), text, (), finish, 1.0, 0, prompt.delimiters, self._opened[place])


def _well_formed(trace: Trace) -> bool:
    return trace.finish_reason == "stop" and not parsed(trace).flags
