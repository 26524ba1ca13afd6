"""TRL's GRPO on rollouts of another process, which are slightly off-policy: the one file that knows TRL's experimental `rollout_func`.

Imports torch and TRL: to be imported where training runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from selfimprove.records import JudgedTrace, Message, Rollout
from selfimprove.training.generating_trainers import GRPOTrainer
from selfimprove.training.lean_rows import SUMMED, lean_rows
from selfimprove.training.shared_prompts import NAME, SharedPrompts, shares_prompts

Ask = Callable[[Any, list[list[Message]]], Sequence[JudgedTrace]]
"""Takes the model and the chats of a step, and returns a verified rollout for each."""


class SampledGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO that takes the sampler for the old policy.

    The sampler computes with other kernels, and perhaps with older weights, so it draws tokens from another distribution than the trainer's. Each
    token's ratio is π(trainer) / π(sampler) with the log-probabilities that came with the rollouts; TRL itself corrects only where it runs vLLM.
    With TRL's CISPO loss (MiniMax 2025, "MiniMax-M1"), the gradient of a token is weighed with min(ratio, `epsilon_high`): truncated importance
    sampling (Ionides 2008), as Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training", use it against this
    mismatch. It takes no further pass through the model.
    """

    def __init__(self, ask: Ask, cap: float, **arguments: Any) -> None:
        """`ask` samples and verifies; `arguments` are those of `GRPOTrainer`. A reward function finds the verified rollouts in `judged`.

        Ratios above `cap` are counted.
        """

        def rollout_func(chats: list[list[Message]], trainer: Any) -> dict[str, list[Any]]:
            if torch.cuda.is_available():
                # The sampler may need this memory meanwhile.
                torch.cuda.empty_cache()
            judged = ask(trainer.accelerator.unwrap_model(trainer.model), chats)
            rollouts = [one.trace for one in judged if isinstance(one.trace, Rollout)]
            return {
                "prompt_ids": [list(rollout.prompt_token_ids) for rollout in rollouts],
                "completion_ids": [list(rollout.output_token_ids) for rollout in rollouts],
                "logprobs": [list(rollout.logprobs) for rollout in rollouts],
                "judged": list(judged),
            }

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")
            super().__init__(rollout_func=rollout_func, **arguments)
        self._shares_prompts = shares_prompts(self.model)
        if self._shares_prompts:
            self.model.set_attn_implementation(NAME)
        args, self._cap = self.args, cap
        others = args.beta or args.entropy_coef or args.use_adaptive_entropy or args.top_entropy_quantile < 1 or self.aux_loss_enabled
        self._sums_advantages = args.loss_type in SUMMED and not others
        """Whether a token without an advantage has no part in the loss."""
        self._ratios, self._truncated, self._tokens = 0.0, 0.0, 0.0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """TRL's loss on what has a part in it, with the sampler's log-probabilities as those of the old policy."""
        inputs = lean_rows(inputs, drop=self._sums_advantages)
        sampled = inputs["sampling_per_token_logps"]

        reads = SharedPrompts(model, self.args.temperature) if self._shares_prompts else model

        def measured(**arguments: Any) -> Any:
            output = reads(**arguments)
            self._measure(output.log_probs[:, -sampled.shape[1] :].detach() - sampled, inputs["completion_mask"])
            return output

        return super().compute_loss(measured, {**inputs, "old_per_token_logps": sampled}, return_outputs, num_items_in_batch)

    def importance(self) -> dict[str, float]:
        """Since the last call: the mean ratio over tokens, and the share of tokens whose ratio is above the limit."""
        tokens = max(self._tokens, 1.0)
        figures = {"importance_ratio": self._ratios / tokens, "importance_truncated": self._truncated / tokens}
        self._ratios, self._truncated, self._tokens = 0.0, 0.0, 0.0
        return figures

    def _measure(self, log_ratio: Tensor, mask: Tensor) -> None:
        ratio = log_ratio.float().exp() * mask
        self._ratios += ratio.sum().item()
        self._truncated += (ratio > self._cap).sum().item()
        self._tokens += mask.sum().item()
