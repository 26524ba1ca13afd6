"""The coverage ledger: how often each problem was solved in each generation, and what a generation changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfimprove.evaluation.paired import change_at_k
from selfimprove.records import Coverage, LedgerEntry, Score


def coverage(earlier: Sequence[Score], before: Score, now: Score) -> Coverage:
    """The change in coverage that the evaluation `now` shows.

    Args:
        earlier: scores of all earlier evaluations, of champions and refused candidates, including `before`.
        before: the champion's score.
        now: the candidate's score.
    """
    solved_before = set().union(*(_solved(score) for score in earlier))
    solved = _solved(now)
    return Coverage(
        newly_solved=tuple(sorted(solved - solved_before)),
        forgotten=tuple(sorted(_solved(before) - solved)),
        never_solved=tuple(sorted(now.solved.keys() - solved - solved_before)),
        trend=trend(before, now),
    )


def trend(before: Score, now: Score) -> str:
    """One word for the effect of training, from paired bootstraps of pass@1 and of pass@k at the largest k of both evaluations.

    Does training teach what sampling could not find, or only to find it at the first try (Yue et al. 2025)? With one sample per problem, pass@k is
    pass@1: `sharpening` cannot be told from `expansion`, and the result is `expansion`.
    """
    k = max(before.pass_at_k.keys() & now.pass_at_k.keys())
    first, wide = change_at_k(before, now, 1), change_at_k(before, now, k)
    if wide < 0 or first < 0:
        return "contraction"
    if wide > 0:
        return "expansion"
    return "sharpening" if first > 0 else "plateau"


def entries(solves: Mapping[str, tuple[int, int]], of: str, generation: int) -> list[LedgerEntry]:
    """The ledger rows of one generation for the set `of`: `train` or `eval`."""
    return [LedgerEntry(problem, of, generation, right, samples) for problem, (right, samples) in solves.items()]


def _solved(score: Score) -> set[str]:
    return {problem for problem, (right, _) in score.solved.items() if right}
