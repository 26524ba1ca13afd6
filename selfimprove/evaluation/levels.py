"""Evaluations by level, for problems that have levels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from selfimprove.evaluation.scores import interval
from selfimprove.records import LevelScore, Problem


def by_level(solved: Mapping[str, tuple[int, int]], problems: Iterable[Problem]) -> dict[int, LevelScore]:
    """The result of an evaluation on each level, in order; empty if its problems have no levels.

    Args:
        solved: Right samples and all samples of each problem, by id: `Score.solved`.
        problems: The problems of the evaluation.
    """
    levels: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for problem in problems:
        if problem.level is not None and problem.id in solved:
            levels[problem.level].append(solved[problem.id])
    return {level: _score(counts) for level, counts in sorted(levels.items())}


def _score(counts: list[tuple[int, int]]) -> LevelScore:
    rates = [right / samples for right, samples in counts]
    return LevelScore(len(rates), sum(rates) / len(rates), interval(rates, sum(samples for _, samples in counts)))
