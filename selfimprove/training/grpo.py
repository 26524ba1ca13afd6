"""Reinforcement learning with verifiable rewards, with TRL: prompts in, the next checkpoint out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.errors import UserError
from selfimprove.protocols import Reinforcer, Resources, Verifiers
from selfimprove.records import Checkpoint, JudgedTrace, ReinforcementPrompt, RolloutRequest, TrainingStep
from selfimprove.records.numbers import Float, Int, NonNegativeFloat, PositiveFloat, PositiveInt
from selfimprove.training.malloc import KeepsFreedMemory
from selfimprove.training.open_trainer import TRLTrainer, load_tokenizer
from selfimprove.training.rewards import OwnRollouts, Rewards
from selfimprove.training.rollout_exchange import RolloutExchange, exchange_in
from selfimprove.training.rollout_requests import RolloutRequests
from selfimprove.training.training_thread import OnStep, run_training

FIGURES = {
    "reward": "reward",
    "rollouts": "rollouts",
    "rollouts_right": "rollouts_right",
    "rollouts_undecided": "rollouts_undecided",
    "rollout_tokens": "rollout_tokens",
    "equal_groups": "frac_reward_zero_std",
    "entropy": "entropy",
    "importance_ratio": "importance_ratio",
    "importance_truncated": "importance_truncated",
}
"""Figures kept of each step, with TRL's names for them: mean reward; counts of rollouts and of their tokens; share of groups in which all rewards are
equal, which teach nothing; entropy of the model's distributions in nats; with the sampler's rollouts, the mean over their tokens of π(trainer) /
π(sampler), and the share of tokens for which it is above `importance_cap`. With them, entropy and ratio are over the rollouts with an advantage,
unless the loss needs the others too."""
PASSED_ON = ("top_k", "min_p", "repetition_penalty")
"""Settings of sampling in TRL's `GRPOConfig` that the sampler gets under the same names."""


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class GRPO(KeepsFreedMemory, Reinforcer):
    """Samples groups of rollouts, verifies them, and makes those better than their group likelier, with TRL's `GRPOTrainer` and AdamW.

    GRPO: Shao et al. 2024, "DeepSeekMath"; with rewards from a verifier as in DeepSeek-AI 2025, "DeepSeek-R1". The workflow's sampler writes the
    rollouts with the weights of the training, which it reloads in place. Computes in bfloat16 on machines that are fast at it and keeps float32
    masters of the weights. On a CPU, a prompt is read once for all its rollouts in a pass.
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
    rollouts: Literal["sampler", "trainer"] = "sampler"
    """Who writes the rollouts: the workflow's sampler, which has to be a `VLLM`, or the training process itself with transformers' `generate`, which
    is slower and works beside every sampler."""
    weights_every: PositiveInt = 1
    """Optimizer steps after which the sampler gets the weights of the training. With more than one, some rollouts come from older weights."""
    importance_cap: Annotated[Float, Field(ge=1)] = 2.0
    """Limit of the weight that a token of the sampler's rollouts has in the gradient: min(π(trainer) / π(sampler), limit). Truncated importance
    sampling, as in Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training"."""
    rows_at_once: PositiveInt = 16
    """Maximum number of rollouts in one forward and backward pass. It bounds memory and changes no figure."""
    warmup: Annotated[Float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    options: dict[str, Any] = field(default_factory=dict)
    """Passed to TRL's `GRPOConfig`, over the fields above. The optimizer (`optim`) cannot be changed. With another `loss_type` than `cispo`, TRL
    clips the ratio to the sampler as that loss does, and `importance_cap` has no effect."""
    verifiers: Verifiers | None = None
    """Verifiers of the rollouts. None: the workflow's verifier, in processes that are killed at its deadline."""
    threads: PositiveInt | None = None
    """Threads for torch. None: one for each core that the process may use."""
    resources: Resources = Resources()

    @property
    def needs_rollouts(self) -> bool:
        """Whether the workflow's sampler writes the rollouts."""
        return self.rollouts == "sampler"

    def open(self) -> OpenGRPO:
        """Load torch and TRL, which takes some seconds.

        Raises:
            UserError: it samples itself and there are no verifiers, or `options` chooses an optimizer.
        """
        if self.verifiers is None and not self.needs_rollouts:
            raise UserError("GRPO has no verifiers: outside a workflow, set verifiers=VerifierPool(verifier)")
        opened = OpenGRPO(self)
        import selfimprove.training.generating_trainers  # noqa: F401

        return opened


class OpenGRPO(TRLTrainer[GRPO]):
    """Reinforcement in the process that trains."""

    _exchange: RolloutExchange | None = None

    def train(self, start: Checkpoint, rows: Sequence[ReinforcementPrompt], into: Path, seed: int) -> Iterator[TrainingStep | RolloutRequest]:
        """Reinforce `start` on prompts and save the model into `into`; each optimizer step is yielded as soon as it is done.

        Where the sampler writes the rollouts, each step begins with a `RolloutRequest`, and the training waits until `answer` is called. Closing the
        iterator early stops the training, and nothing is saved.

        Raises:
            UserError: there are no prompts.
            OSError: the checkpoint cannot be written; nothing is left of it.
        """
        if not rows:
            raise UserError("there are no problems to reinforce on")
        part = self._part
        rewards = Rewards(part.format_reward, part.partial_credit)
        if part.needs_rollouts:
            # A folder whose name begins with a dot is no part of the run.
            with exchange_in(into.with_name(f".{into.name}.rollouts"), start, part.weights_every) as self._exchange:
                yield from self._steps(start, rows, into, seed, rewards, lambda judged, **_: rewards.of(judged))
        else:
            assert part.verifiers is not None
            with closing(part.verifiers.open()) as verifiers:
                own = OwnRollouts(rows, load_tokenizer(start), verifiers)
                yield from self._steps(
                    start, rows, into, seed, rewards, lambda place, completion_ids, **_: rewards.of(own.judged(place, completion_ids))
                )

    def answer(self, number: int, rollouts: Sequence[JudgedTrace]) -> None:
        """Take the verified rollouts of a request; ignored where no training waits for them."""
        if self._exchange is not None:
            self._exchange.answer(number, rollouts)

    def _steps(
        self, start: Checkpoint, prompts: Sequence[ReinforcementPrompt], into: Path, seed: int, rewards: Rewards, reward: Callable[..., Any]
    ) -> Iterator[TrainingStep | RolloutRequest]:
        from selfimprove.training.small.lean_loop import fit

        def work(on_step: OnStep) -> Any:
            with tempfile.TemporaryDirectory() as scratch:
                trainer = self._trainer(start, prompts, scratch, seed, reward)

                def with_counts(step: int, steps: int, measured: dict[str, float]) -> bool:
                    importance = trainer.importance() if self._exchange else {}
                    return on_step(step, steps, {**measured, **rewards.counted(), **importance})

                return fit(trainer, with_counts)

        yield from run_training(work, Path(start.path), into, self._part.threads, FIGURES, self._exchange)

    def _trainer(self, start: Checkpoint, prompts: Sequence[ReinforcementPrompt], scratch: str, seed: int, reward: Callable[..., Any]) -> Any:
        from datasets import Dataset
        from transformers import AutoModelForCausalLM

        from selfimprove.training.generating_trainers import GRPOTrainer, ending_at

        model = AutoModelForCausalLM.from_pretrained(start.path, dtype="float32", local_files_only=True)
        tokenizer, settings = load_tokenizer(start), self._settings(scratch, seed, len(prompts))
        arguments = {
            "model": model,
            "reward_funcs": reward,
            "args": settings,
            "train_dataset": Dataset.from_list([{"prompt": list(prompt.messages), "place": place} for place, prompt in enumerate(prompts)]),
            "processing_class": tokenizer,
        }
        with ending_at(end_of_turn(tokenizer), model):
            if self._exchange is None:
                return GRPOTrainer(**arguments)
            from selfimprove.training.sampled_grpo import SampledGRPOTrainer

            requests, exchange = RolloutRequests(prompts, _sampling(settings), seed), self._exchange
            return SampledGRPOTrainer(lambda model, chats: exchange.ask(model, requests.make(chats)), self._part.importance_cap, **arguments)

    def _settings(self, scratch: str, seed: int, problems: int) -> Any:
        from trl import GRPOConfig

        from selfimprove.training.small.lean_loop import quiet_settings

        part = self._part
        rollouts = min(part.problems_per_step, problems) * part.group_size
        at_once = next(size for size in range(min(part.rows_at_once, rollouts), 0, -1) if rollouts % size == 0)
        ours: dict[str, Any] = {
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
        if part.needs_rollouts and "loss_type" not in part.options:
            ours |= {"loss_type": "cispo", "epsilon_high": part.importance_cap}
        return GRPOConfig(**{**quiet_settings(scratch, seed), **ours, **part.options})


def _sampling(args: Any) -> dict[str, Any]:
    """The settings of sampling in TRL's `GRPOConfig`, as a request has them."""
    extra = {name: getattr(args, name) for name in PASSED_ON if getattr(args, name) != type(args).__dataclass_fields__[name].default}
    extra |= args.generation_kwargs or {}
    return {"temperature": args.temperature, "top_p": args.top_p, "max_tokens": args.max_completion_length, "extra": extra}
