"""Scores from the number of right samples of each problem."""

from __future__ import annotations

from selfimprove.evaluation.scores import pass_at_k
from selfimprove.records import Score


def evaluation(solved: dict[str, tuple[int, int]], name: str = "m") -> Score:
    rate = sum(right / samples for right, samples in solved.values()) / len(solved)
    widest = min(samples for _, samples in solved.values())
    wide = {k: sum(pass_at_k(samples, right, k) for right, samples in solved.values()) / len(solved) for k in range(1, widest + 1)}
    return Score(name, len(solved), rate, (0.0, 1.0), wide, {}, {}, 0, solved)
