"""A request as vLLM's `SamplingParams`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import Request


def sampling_parameters(request: Request, extra_args: dict[str, Any] | None, stream: bool, scored: bool = False) -> Any:
    """The `SamplingParams` of a request.

    Args:
        extra_args: What the logits processors read.
        stream: Whether to report the output after every step.
        scored: Whether to report the log-probability of every sampled token.

    Raises:
        UserError: vLLM does not know a key of the request's `extra`, or refuses its value.
    """
    from vllm.sampling_params import RequestOutputKind

    return _parameters(
        {**request.extra, "logprobs": 0} if scored else request.extra,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.seed,
        output_kind=RequestOutputKind.CUMULATIVE if stream else RequestOutputKind.FINAL_ONLY,
        # Delimiters may be special tokens.
        skip_special_tokens=False,
        extra_args=extra_args,
    )


def require_known(extra: Mapping[str, Any]) -> None:
    """Refuse what vLLM would refuse. Imports vLLM, which takes seconds, only where there is something to check.

    Raises:
        UserError: vLLM does not know a key, or refuses its value.
    """
    if extra:
        _parameters(extra)


def _parameters(extra: Mapping[str, Any], **ours: Any) -> Any:
    from vllm.exceptions import VLLMError
    from vllm.sampling_params import SamplingParams

    try:
        return SamplingParams(**ours, **extra)
    except (TypeError, ValueError, VLLMError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"vLLM does not accept Sampling(extra={dict(extra)}): {reason}; see vllm.SamplingParams for its keys") from error
