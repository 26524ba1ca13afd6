"""Chooses one answer from several traces of a problem: by vote, by reward, or by both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One trace, reduced to its answer, reward and cost."""

    answer: str | None
    """The extracted answer; None if there is none."""
    right: bool
    reward: float
    """Reward of the whole trace: its step rewards, aggregated."""
    tokens: int
    """Tokens sampled for the trace."""


Choice = Callable[[Sequence[ScoredAnswer]], float]
"""Solve rate of a problem by this way to choose: 1 if the chosen answer is right, else 0."""


def any_one(answers: Sequence[ScoredAnswer]) -> float:
    """The share of right answers: a random choice, which is pass@1."""
    return sum(one.right for one in answers) / len(answers) if answers else 0.0


def majority(answers: Sequence[ScoredAnswer]) -> float:
    """The most frequent answer (self-consistency, Wang et al. 2023); the earliest wins a tie."""
    return _solved(answers, Counter(one.answer for one in answers if one.answer is not None))


def best_of(answers: Sequence[ScoredAnswer]) -> float:
    """The answer with the highest reward (best-of-N); the earliest wins a tie."""
    answered = [one for one in answers if one.answer is not None]
    return float(max(answered, key=lambda one: one.reward).right) if answered else 0.0


def weighted_majority(answers: Sequence[ScoredAnswer]) -> float:
    """The answer with the highest sum of rewards (weighted best-of-N, Li et al. 2023); the earliest wins a tie."""
    votes: dict[str, float] = {}
    for one in answers:
        if one.answer is not None:
            votes[one.answer] = votes.get(one.answer, 0.0) + one.reward
    return _solved(answers, votes)


CHOICES: Mapping[str, Choice] = {
    "plain sampling": any_one,
    "majority": majority,
    "best of N": best_of,
    "weighted majority": weighted_majority,
}


def _solved(answers: Sequence[ScoredAnswer], votes: Mapping[str, float]) -> float:
    # max returns the earliest of equals: votes are in the order of first appearance.
    winner = max(votes, key=lambda answer: votes[answer]) if votes else None
    return float(winner is not None and any(one.right for one in answers if one.answer == winner))
