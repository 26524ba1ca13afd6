"""Which answer is chosen from several."""

from __future__ import annotations

from selfimprove.evaluation.reranking import CHOICES, ScoredAnswer, any_one, best_of, majority, weighted_majority


def candidate(answer: str | None, reward: float, right: str = "7") -> ScoredAnswer:
    return ScoredAnswer(answer, answer == right, reward, 10)


def test_votes_and_rewards_choose_differently() -> None:
    pool = [candidate("8", 0.2), candidate("8", 0.2), candidate("7", 0.5), candidate("9", 0.45), candidate(None, 0.99)]
    assert [round(choice(pool), 2) for choice in CHOICES.values()] == [0.2, 0.0, 1.0, 1.0]
    assert weighted_majority([*pool, candidate("8", 0.2)]) == 0.0


def test_the_earliest_wins_a_tie() -> None:
    for choice in (majority, best_of, weighted_majority):
        assert choice([candidate("7", 0.5), candidate("8", 0.5)]) == 1.0
        assert choice([candidate("8", 0.5), candidate("7", 0.5)]) == 0.0


def test_without_an_answer_nothing_is_solved() -> None:
    assert [choice([candidate(None, 1.0)]) for choice in (any_one, majority, best_of, weighted_majority)] == [0.0] * 4
    assert [choice([]) for choice in CHOICES.values()] == [0.0] * 4
