"""Traces from vLLM: how its engine is set up on this kind of machine."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Resources, Sampler
from selfimprove.sampling.engine_options import SEQUENCES

if TYPE_CHECKING:
    from selfimprove.sampling.open_vllm import OpenVLLM

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # Budget forcing is written for the first model runner's logits processors.
    "VLLM_USE_V2_MODEL_RUNNER": "0",
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class VLLM(Sampler):
    """Samples with a vLLM engine inside its worker."""

    engine: dict[str, Any] = field(default_factory=dict)
    """Arguments of `vllm.LLM`, passed through untouched; they come before the defaults for this kind of machine."""
    resources: Resources = Resources()

    @property
    def sequences(self) -> int:
        """Requests that it works on at once."""
        return int(self.engine.get("max_num_seqs", SEQUENCES))

    @property
    def devices(self) -> int:
        """GPUs that an engine is spread over."""
        return int(self.engine.get("tensor_parallel_size", 1)) * int(self.engine.get("pipeline_parallel_size", 1))

    def environment(self) -> dict[str, str]:
        """What has to stand in the worker's environment before vLLM is imported."""
        return dict(ENVIRONMENT)

    def open(self) -> OpenVLLM:
        """An engine that starts with the first checkpoint it is asked for."""
        from selfimprove.sampling.open_vllm import OpenVLLM

        return OpenVLLM(self.engine)
