"""Scores thoughts with a process reward model, many at a time, with vLLM's pooling runner in its worker."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import field
from math import tanh
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from selfimprove.cluster.hand_over import hand_over
from selfimprove.errors import UserError
from selfimprove.process_reward.reading import read
from selfimprove.protocols import Cluster, Resources, StepScorer
from selfimprove.records import Checkpoint, Message
from selfimprove.records.foreign_text import read_object
from selfimprove.records.numbers import Float
from selfimprove.sampling.engine_failure import failure_in_one_line
from selfimprove.sampling.engine_options import engine_defaults
from selfimprove.sampling.engine_sleep import sleep, wake
from selfimprove.sampling.vllm_engine import ENVIRONMENT, require_vllm

Asked = Sequence[tuple[tuple[Message, ...], tuple[str, ...]]]
"""Chats, each with the thoughts of its answer so far."""

LARGEST_CALL = 1024
"""Maximum number of traces in one call of a worker, so that each call ends well before its deadline."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Reading:
    """How to use a process reward model: the entry `process_reward` of its `config.json`."""

    begin: str
    """The delimiter before the thoughts."""
    center: Float = 0.0
    """The logit that means 0.5."""
    scale: Float = 1.0
    """The probability is `sigmoid((logit - center) / scale)` (Platt 1999)."""

    def probability(self, logit: float) -> float:
        """The calibrated probability."""
        # The logistic function in a form that cannot overflow.
        return 0.5 + 0.5 * tanh((logit - self.center) / (2 * self.scale))


@dataclass(frozen=True, config={"extra": "forbid"})
class RewardModel(StepScorer):
    """A process reward model from `RewardTrainer`, run with vLLM."""

    checkpoint: Checkpoint
    engine: dict[str, Any] = field(default_factory=dict)
    """Arguments of `vllm.LLM`, passed unchanged. They override the defaults for this kind of machine."""
    resources: Resources = Resources()
    """One copy: several would all do the same work."""

    def environment(self) -> dict[str, str]:
        """Environment variables of the worker, set before vLLM is imported."""
        return dict(ENVIRONMENT)

    def open(self) -> OpenRewardModel:
        """Start the engine.

        Raises:
            UserError: the checkpoint is not a process reward model, or vLLM is not installed.
        """
        require_vllm()
        return OpenRewardModel(Path(self.checkpoint.path), self.engine)


class OpenRewardModel:
    """A vLLM engine with the model's weights."""

    def __init__(self, model: Path, engine: dict[str, Any]) -> None:
        """Load vLLM and the weights, which takes some seconds."""
        self._reading = reading(model)
        import torch
        from vllm import LLM

        # As in `sampling.open_vllm`: AMX may not be enabled yet.
        torch.cpu._init_amx()
        defaults = engine_defaults(model, engine) | {"runner": "pooling", "enable_prefix_caching": False}
        with failure_in_one_line():
            self._llm = LLM(**(defaults | engine))
        self._asleep = 0

    def score(self, asked: Asked) -> list[tuple[float, ...]]:
        """The calibrated chance, at the end of each thought of each trace, that the answer will be right.

        On a GPU that others use too, the engine sleeps between calls.

        Raises:
            UserError: a trace is longer than the engine's context, or one of its thoughts is empty.
        """
        from vllm import PoolingParams, TokensPrompt

        tokenizer, room = self._llm.get_tokenizer(), self._llm.llm_engine.vllm_config.model_config.max_model_len
        sequences = [read(tokenizer, messages, self._reading.begin, thoughts) for messages, thoughts in asked if thoughts]
        if not sequences:
            return [()] * len(asked)
        if (longest := max(len(ids) for ids, _ in sequences)) > room:
            raise UserError(f"a trace of {longest} tokens exceeds the reward model's context of {room}: raise max_model_len in its engine")
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids, _ in sequences]
        if self._asleep:
            wake(self._llm, load=None)
        outputs = self._llm.encode(prompts, pooling_params=PoolingParams(use_activation=False), pooling_task="token_classify", use_tqdm=False)
        self._asleep = sleep(self._llm, same_weights=True)
        scored = (self._probabilities(one.outputs.data, ends) for one, (_, ends) in zip(outputs, sequences, strict=True))
        return [next(scored) if thoughts else () for _, thoughts in asked]

    def close(self) -> None:
        """End the engine."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()

    def _probabilities(self, logits: Any, ends: Sequence[int]) -> tuple[float, ...]:
        return tuple(self._reading.probability(logit) for logit in logits[ends, 0].tolist())


def reading(model: Path) -> Reading:
    """The settings of the process reward model in this folder.

    Raises:
        UserError: the folder holds another kind of model.
    """
    file = model / "config.json"
    try:
        config = read_object(file) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}; train the process reward model again") from error
    if "process_reward" not in config or config.get("token_classification_bias", True):
        raise UserError(f"{model} is not a process reward model: train one with selfimprove.process_reward.training.RewardTrainer")
    try:
        return TypeAdapter(Reading).validate_python(config["process_reward"])
    except ValidationError as error:
        raise UserError(f"{file}: process_reward: {error.errors()[0]['msg']}; train the process reward model again") from error


def step_rewards(scorer: StepScorer, asked: Asked, cluster: Cluster) -> list[tuple[float, ...]]:
    """The rewards of all thoughts in the given order, computed on the scorer's worker."""
    worker = hand_over(cluster, "reward model", scorer, same_weights=True)
    return [rewards for start in range(0, len(asked), LARGEST_CALL) for rewards in worker.call("score", asked[start : start + LARGEST_CALL])]
