"""An estimate of what a run costs: tokens, and minutes on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from selfimprove.problems.sets import ProblemSets
from selfimprove.workflow.workflow import Workflow

if TYPE_CHECKING:
    import torch

TYPICAL_OUTPUT = 0.5
"""Share of `max_tokens` that an output is assumed to take."""
ACHIEVED = 0.3
"""Share of the measured matrix speed that sampling and training are assumed to reach."""
SIZE = 2048
"""Rows and columns of the matrices whose product is timed."""

Lengths: TypeAlias = Mapping[str, Sequence[tuple[int, str]]]
"""Tokens of every prompt and the id of its problem, by stage."""


def estimate(workflow: Workflow, model: Path, sets: ProblemSets, lengths: Lengths) -> dict[str, float]:
    """Upper bounds of the tokens to sample and to train on, and minutes at the measured matrix speed of this machine."""
    from safetensors import safe_open

    problems = sets.training
    drawn = min(workflow.problems_per_generation or len(problems), len(problems))
    output = TYPICAL_OUTPUT * workflow.sampling.max_tokens
    samples = drawn * workflow.sampling.n
    tested = 2 + (workflow.first_prompter is not None) + workflow.answer_only_baseline
    asked = (workflow.generations + 2 + workflow.answer_only_baseline) * len(sets.evaluation) + tested * len(sets.test)
    evaluations = asked * workflow.eval_sampling.n
    sampled = samples * workflow.generations * output + evaluations * TYPICAL_OUTPUT * workflow.eval_sampling.max_tokens
    prompt = sum(length for length, _ in lengths["sample"]) / len(lengths["sample"])
    epochs = getattr(workflow.trainer, "epochs", 1)
    limit, per_problem = getattr(workflow.mixture, "limit", None), getattr(workflow.mixture, "per_problem", None)
    most = min(limit or math.inf, (per_problem or math.inf) * len(problems))
    rows = [min(samples * generation, most) for generation in range(1, workflow.generations + 1)]
    trained = sum(rows) * epochs * (prompt + output)
    parameters = 0
    for file in model.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            parameters += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    flops = 2 * parameters * sampled + 6 * parameters * trained
    return {"sampled_tokens": round(sampled), "trained_tokens": round(trained), "minutes": flops / (ACHIEVED * _matrix_speed()) / 60}


@cache
def _matrix_speed() -> float:
    """FLOP/s of matrix products in bfloat16 or float32, whichever is faster: few CPUs have instructions for the first. Measured once."""
    import torch

    return max(map(_speed_of_product, (torch.bfloat16, torch.float32)))


def _speed_of_product(dtype: torch.dtype) -> float:
    """FLOP/s, measured for a quarter of a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    factor = torch.ones(SIZE, SIZE, dtype=dtype, device=device)
    product = factor @ factor  # The first product waits for its kernel to be compiled.
    runs, start = 0, time.monotonic()
    while time.monotonic() - start < 0.25:
        torch.mm(factor, factor, out=product)[0, 0].item()
        runs += 1
    return 2 * SIZE**3 * runs / (time.monotonic() - start)
