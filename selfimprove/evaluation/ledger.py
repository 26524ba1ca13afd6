"""The coverage ledger: which problem was solved how often in which generation, and what that says of the generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfimprove.evaluation.paired import change_at_k
from selfimprove.records import Coverage, LedgerEntry, Score


def coverage(earlier: Sequence[Score], before: Score, now: Score) -> Coverage:
    """What the evaluation `now` changed.

    Args:
        earlier: all evaluations before this one, of champions and of candidates that were refused; `before` is among them.
        before: the champion's.
        now: the candidate's.
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
    """One word for what training did, from paired bootstraps of pass@1 and of pass@k at the largest k of both evaluations.

    Does training teach what sampling could not find, or only to find it at once (Yue et al. 2025)? With one sample a problem pass@k is
    pass@1, so that `sharpening` cannot be told from `expansion` and the latter is said.
    """
    k = max(before.pass_at_k.keys() & now.pass_at_k.keys())
    first, wide = change_at_k(before, now, 1), change_at_k(before, now, k)
    if wide < 0 or first < 0:
        return "contraction"
    if wide > 0:
        return "expansion"
    return "sharpening" if first > 0 else "plateau"


def entries(solves: Mapping[str, tuple[int, int]], of: str, generation: int) -> list[LedgerEntry]:
    """One generation's rows of the ledger for the set `of`."""
    return [LedgerEntry(problem, of, generation, right, samples) for problem, (right, samples) in solves.items()]


def _solved(score: Score) -> set[str]:
    return {problem for problem, (right, _) in score.solved.items() if right}
