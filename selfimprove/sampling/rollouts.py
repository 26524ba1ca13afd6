"""Log-probabilities of sampled tokens, as vLLM reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import Request, Rollout, Trace

PROCESSED = "processed_logprobs"
"""vLLM's `logprobs_mode` in which probabilities are those of the distribution that tokens are drawn from."""


def require_scores(requests: Sequence[Request], mode: str) -> None:
    """Refuse requests for which vLLM would report the probabilities of another distribution than the one it draws from.

    Args:
        mode: The engine's `logprobs_mode`. By default vLLM reports what the model says before the temperature and all other settings.

    Raises:
        UserError: The settings of a request change the distribution.
    """
    if mode != PROCESSED and any(one.temperature != 1 or one.top_p != 1 or one.extra or one.budget or one.switch_penalty for one in requests):
        raise UserError(
            "rollouts at another temperature than 1, or with further sampling settings, need an engine that reports the probabilities it draws "
            f'from: set sampler=VLLM(engine={{"logprobs_mode": "{PROCESSED}"}})'
        )


def scored_trace(trace: Trace, reported: Sequence[Mapping[int, Any]]) -> Rollout:
    """The trace with the log-probabilities of its tokens; `reported` holds those of each position by token, of a stop string's too."""
    logprobs = tuple(float(of[token].logprob) for token, of in zip(trace.output_token_ids, reported[: trace.output_tokens], strict=True))
    return Rollout(**{field.name: getattr(trace, field.name) for field in fields(trace)}, logprobs=logprobs)
