"""One reward for a trace from the rewards of its thoughts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from statistics import fmean
from typing import Literal

Aggregation = Literal["last", "min", "product", "mean"]

_WAYS: Mapping[Aggregation, Callable[[Sequence[float]], float]] = {"last": lambda rewards: rewards[-1], "min": min, "product": prod, "mean": fmean}


def aggregate(rewards: Sequence[float], how: Aggregation) -> float:
    """One number from 0 to 1 for the whole trace; 0 for a trace without thoughts.

    `min` and `product` come from Lightman et al. 2023, "Let's Verify Step by Step", and Wang et al. 2023, "Math-Shepherd". `last` fits labels from
    rollouts best, because each label already covers all earlier thoughts (Snell et al. 2024).
    """
    return float(_WAYS[how](rewards)) if rewards else 0.0
