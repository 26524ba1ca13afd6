"""Options of a vLLM engine that follow from the model and the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import Request

SEQUENCES = 256
"""That an engine works on at once, where the user has not chosen."""


def engine_context(model: Path, chosen: dict[str, Any]) -> int:
    """Tokens that prompt and output may take together: `max_model_len` where it is chosen, else at most 2,048."""
    limit = json.loads((model / "config.json").read_text()).get("max_position_embeddings", 2048)
    return int(chosen.get("max_model_len", min(limit, 2048)))


def engine_defaults(model: Path, chosen: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `vllm.LLM` for this kind of machine, where the user has not chosen."""
    import torch

    length = engine_context(model, chosen)
    defaults = {"model": str(model), "dtype": "bfloat16", "max_model_len": length, "max_num_seqs": SEQUENCES, "use_tqdm_on_load": False}
    if torch.cuda.is_available():
        # The trainer may share the device; asleep, the engine leaves it alone.
        return defaults | {"enable_sleep_mode": True, "gpu_memory_utilization": 0.45}
    return defaults | {
        "enforce_eager": True,
        "kv_cache_memory_bytes": 1 << 30,
        # Finer than the default of 128: a prefix is shared sooner.
        "block_size": 32,
        # A seeded request whose prompt is split crashes the CPU sampler.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(length, 4096),
    }


def require_room(request: Request, prompt_tokens: int, context: int) -> None:
    """Refuse a request whose prompt and longest output do not fit the context together.

    Raises:
        UserError: naming the problem and the lengths, in tokens.
    """
    if prompt_tokens + request.max_tokens > context:
        raise UserError(
            f"problem {request.problem_id} does not fit: a prompt of {prompt_tokens} tokens and an output of up to {request.max_tokens} "
            f"exceed the context of {context}; leave it out, lower max_tokens, or raise sampler.engine.max_model_len"
        )
