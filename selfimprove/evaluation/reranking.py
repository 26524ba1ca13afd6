"""One answer out of several traces of a problem: by vote, by reward, or by both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """What counts of one trace."""

    answer: str | None
    """As it was extracted; None where there is none."""
    right: bool
    reward: float
    """Of the trace as a whole: its step rewards, aggregated."""
    tokens: int
    """Sampled for it."""


Choice = Callable[[Sequence[Candidate]], float]
"""How far a problem is solved by these candidates: 1 where the answer that is chosen is right, else 0."""


def any_one(candidates: Sequence[Candidate]) -> float:
    """The share of right ones: what a choice at random solves, which is pass@1."""
    return sum(one.right for one in candidates) / len(candidates) if candidates else 0.0


def majority(candidates: Sequence[Candidate]) -> float:
    """The answer that most candidates give (self-consistency, Wang et al. 2023); the earliest wins a tie."""
    return _solved(candidates, Counter(one.answer for one in candidates if one.answer is not None))


def best_of(candidates: Sequence[Candidate]) -> float:
    """The answer of the candidate with the highest reward among those with an answer (best-of-N); the earliest wins a tie."""
    answered = [one for one in candidates if one.answer is not None]
    return float(max(answered, key=lambda one: one.reward).right) if answered else 0.0


def weighted_majority(candidates: Sequence[Candidate]) -> float:
    """The answer whose candidates have the highest sum of rewards (weighted best-of-N, Li et al. 2023); the earliest wins a tie."""
    votes: dict[str, float] = {}
    for one in candidates:
        if one.answer is not None:
            votes[one.answer] = votes.get(one.answer, 0.0) + one.reward
    return _solved(candidates, votes)


CHOICES: Mapping[str, Choice] = {
    "plain sampling": any_one,
    "majority": majority,
    "best of N": best_of,
    "weighted majority": weighted_majority,
}


def _solved(candidates: Sequence[Candidate], votes: Mapping[str, float]) -> float:
    # The first of equals is the earliest: votes are in the order of first appearance.
    winner = max(votes, key=lambda answer: votes[answer]) if votes else None
    return float(winner is not None and any(one.right for one in candidates if one.answer == winner))
