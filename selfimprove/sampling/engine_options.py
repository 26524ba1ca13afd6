"""Options of a vLLM engine that follow from the model and the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selfimprove.checkpoints.shape import Rope, read_shape
from selfimprove.errors import UserError
from selfimprove.protocols.worker_part import ALONE
from selfimprove.records import Request
from selfimprove.records.foreign_text import read_object

SEQUENCES = 256
"""Default number of requests that an engine works on at once on the CPU."""
CACHE_BYTES = 1 << 30
"""Default size of the cache of keys and values on the CPU."""
BLOCK = 32
"""Default tokens per cache block on the CPU. Finer than vLLM's 128, so that shorter prefixes are shared."""
ON_ITS_OWN_GPU = {"gpu_memory_utilization": 0.9}
"""Where no other part uses the GPU."""
ON_A_SHARED_GPU = {"gpu_memory_utilization": 0.85, "enable_sleep_mode": True}
"""Where others use the GPU while the engine sleeps. They keep their CUDA contexts, about half a GiB each, while it works."""
FLOAT32_SHARE = 1 / 8
"""Largest share of the machine's memory that weights in float32 may take on a CPU, where they stand in for slow bfloat16."""
UNSCALED = frozenset({"default", "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"})
"""Kinds of RoPE scaling whose factor `max_position_embeddings` includes already."""
FIT_MEMORY = -1
"""vLLM's `max_model_len` for the longest context, up to the model's own, that fits its memory."""


def engine_context(model: Path, chosen: dict[str, Any]) -> int:
    """Maximum number of tokens of prompt and output together.

    `max_model_len` where it is chosen. Otherwise the model's own context; on the CPU, at most as much as the cache holds. On a GPU the engine may
    still shorten it when it knows its memory.
    """
    import torch

    length = chosen.get("max_model_len") or FIT_MEMORY
    if length != FIT_MEMORY:
        return int(length)
    own = model_context(model)
    return own if torch.cuda.is_available() else min(own, _tokens_in_cache(model, chosen))


def model_context(model: Path) -> int:
    """The model's own context in tokens, RoPE scaling included, as vLLM reads it from `config.json`; 2,048 where that does not say."""
    shape = read_shape(model)
    rope = shape.rope_parameters or shape.rope_scaling or Rope()
    kind = rope.rope_type or rope.type or "default"
    if kind == "longrope" and shape.original_max_position_embeddings:
        return shape.original_max_position_embeddings
    scale = 1.0 if kind in UNSCALED else rope.factor or 1.0
    return int((shape.max_position_embeddings or 2048) * scale)


def _tokens_in_cache(model: Path, chosen: dict[str, Any]) -> int:
    """Tokens of one sequence that the CPU's cache holds, with full attention in every layer; vLLM keeps one block to itself."""
    shape = read_shape(model)
    wide = (chosen.get("dtype") or number_type(model, chosen)) in ("float32", "float")
    size = 1 if str(chosen.get("kv_cache_dtype")).startswith("fp8") else 4 if wide else 2
    per_token = shape.cache_bytes(size)
    block = int(chosen.get("block_size") or BLOCK)
    room = int(chosen.get("kv_cache_memory_bytes") or CACHE_BYTES) // (per_token * block)
    blocks = int(chosen.get("num_gpu_blocks_override") or room)
    return max(1, blocks - 1) * block


def number_type(model: Path, chosen: dict[str, Any]) -> str:
    """The number type that the engine computes in: bfloat16 where the machine multiplies it fast.

    Elsewhere it is float16 on a GPU, which has no bfloat16 there, and float32 on a CPU, where vLLM would convert bfloat16 in every product.
    Weights that are quantised, or would take much of the memory, stay in bfloat16.
    """
    import torch

    from selfimprove.checkpoints.precision import fast_at_bfloat16

    if fast_at_bfloat16():
        return "bfloat16"
    if torch.cuda.is_available():
        return "float16"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    quantised = "quantization" in chosen or "quantization_config" in read_object(model / "config.json")
    return "bfloat16" if quantised or 4 * read_shape(model).parameters > FLOAT32_SHARE * memory else "float32"


def engine_defaults(model: Path, chosen: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `vllm.LLM` for this kind of machine, which those that are chosen override."""
    import torch

    defaults = {"model": str(model), "dtype": number_type(model, chosen), "use_tqdm_on_load": False}
    if torch.cuda.is_available():
        share = ON_ITS_OWN_GPU if os.environ.get(ALONE) else ON_A_SHARED_GPU
        return defaults | {"max_model_len": FIT_MEMORY} | share | _prepared_kernels(model, chosen)
    length = engine_context(model, chosen)
    return defaults | {
        "max_model_len": length,
        "max_num_seqs": SEQUENCES,
        "enforce_eager": True,
        "kv_cache_memory_bytes": CACHE_BYTES,
        "block_size": BLOCK,
        # A seeded request whose prompt is split crashes the CPU sampler.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(length, 4096),
    }


def _prepared_kernels(model: Path, chosen: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what vLLM compiles and tunes before the first request where no request needs it."""
    kernels = {}
    if os.environ.get("VLLM_USE_V2_MODEL_RUNNER") == "0":
        # For a minute or two, the first model runner would compile every kernel of top-k and top-p. Requests compile those that they use.
        kernels["enable_jit_warmup"] = False
    config = read_object(model / "config.json")
    config |= config.get("text_config", {})
    if "quantization" not in chosen and "quantization_config" not in config and not any("experts" in name for name in config):
        # FlashInfer tunes products of quantised weights and of experts.
        kernels["enable_flashinfer_autotune"] = False
    return {"kernel_config": kernels} if kernels and "enable_flashinfer_autotune" not in chosen else {}


def require_room(request: Request, prompt_tokens: int, context: int) -> None:
    """Refuse a request whose prompt and longest output exceed the context together.

    Raises:
        UserError: names the problem and the lengths, in tokens.
    """
    if prompt_tokens + request.max_tokens > context:
        raise UserError(
            f"problem {request.problem_id} does not fit: a prompt of {prompt_tokens} tokens and an output of up to {request.max_tokens} "
            f"exceed the context of {context}; leave it out, lower max_tokens, or raise sampler.engine.max_model_len"
        )
