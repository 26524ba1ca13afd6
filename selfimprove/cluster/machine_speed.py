"""How fast this machine samples and trains: a probe of less than a second, and what runs have reached of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SIZE = 384
"""Rows and columns of the matrices whose product is timed on a CPU: the factors stay in a core's cache."""
GPU_SIZE = 4096
"""The same on a GPU."""
PROBE_SECONDS = 0.25


@dataclass(frozen=True)
class Speed:
    """What a machine does in a second."""

    sampling: float
    """FLOP/s of sampling many traces at once, at 2 FLOP for each parameter and token."""
    reading: float
    """FLOP/s of reading prompts, at 2 FLOP for each parameter and token."""
    training: float
    """FLOP/s of training, at 6 FLOP for each parameter and token."""
    decoding_step: float
    """Seconds that one token of all running traces takes at least."""
    training_step: float
    """Seconds that an optimizer step takes at least."""
    engine_start: float
    """Seconds until the first engine is ready."""
    stage: float
    """Seconds that a stage takes besides its tokens: handing over, loading weights, the last few traces."""

    def slower(self, sampling: float = 1.0, training: float = 1.0) -> Speed:
        """The speed of a slower machine. The factors multiply the time for sampling and for training."""
        return replace(
            self,
            sampling=self.sampling / sampling,
            reading=self.reading / sampling,
            decoding_step=self.decoding_step * sampling,
            training=self.training / training,
            training_step=self.training_step * training,
        )


@cache
def speed_here() -> Speed:
    """The speed of this machine, measured once. The shares of the matrix speed were reached by the quickstart (SmolLM2-135M).

    On a CPU one thread is timed and its best time counts, so that other work on the machine changes little: two cores with AVX-512 alone, and two
    with AMX. The floors of a GPU are those of an H200 with an earlier version.
    """
    import torch

    from selfimprove.checkpoints.precision import computing_type

    if torch.cuda.is_available():
        peak = _best_product(GPU_SIZE, torch.bfloat16, "cuda")
        return Speed(
            sampling=0.3 * peak, reading=0.29 * peak, training=0.29 * peak, decoding_step=0.035, training_step=0.23, engine_start=95, stage=5
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        peak = threads * _best_product(SIZE, computing_type(), "cpu")
    finally:
        torch.set_num_threads(threads)
    sampling, training = (0.22 * peak, 0.49 * peak) if computing_type() is torch.bfloat16 else (0.31 * peak, 0.73 * peak)
    return Speed(sampling, training, training, decoding_step=0, training_step=0, engine_start=30, stage=10)


def _best_product(size: int, dtype: torch.dtype, device: str) -> float:
    """FLOP/s of the fastest of the matrix products that fit the time of the probe."""
    import torch

    factor = torch.ones(size, size, dtype=dtype, device=device)
    product = factor @ factor  # The first product waits for its kernel to be compiled.
    best, end = float("inf"), time.perf_counter() + PROBE_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(factor, factor, out=product)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
