"""Which losses a guard refuses: those above its margin that are more than chance."""

from __future__ import annotations

import pytest
from evaluations import evaluation

from selfimprove.evaluation.guards import can_refuse, loss_in_words, measure_loss, refusals
from selfimprove.records import GuardScore


def scores(problems: int, lost: int, gained: int = 0) -> tuple[GuardScore, GuardScore]:
    """Base model and candidate with one sample per problem; each solves half of those that stay."""
    base = {f"p{n}": (int(n < lost or (n >= lost + gained and n % 2 == 0)), 1) for n in range(problems)}
    candidate = {name: (0 if n < lost else 1 if n < lost + gained else right, 1) for n, (name, (right, _)) in enumerate(base.items())}
    return GuardScore(evaluation(base, "base")), GuardScore(evaluation(candidate, "candidate"))


@pytest.mark.parametrize(
    ("problems", "lost", "gained", "margin", "refuses"),
    [
        (100, 8, 0, 0.05, True),
        (100, 4, 0, 0.05, False),  # within the margin
        (100, 16, 8, 0.05, False),  # more than the margin, as chance does on one set of three
        (300, 60, 30, 0.05, True),
        (300, 15, 0, 0.05, False),  # exactly the margin
        (10, 2, 0, 0.05, False),  # too few to tell from chance
        (10, 6, 0, 0.05, True),  # and yet a collapse is refused
        (4, 4, 0, 0.0, False),
        (1000, 10, 0, 0.0, True),
        (50, 0, 10, 0.0, False),
    ],
)
def test_a_candidate_is_refused_for_a_loss_above_the_margin_that_is_more_than_chance(
    problems: int, lost: int, gained: int, margin: float, refuses: bool
) -> None:
    base, candidate = scores(problems, lost, gained)
    loss = measure_loss(base.score, candidate.score, margin)
    assert loss.loss == pytest.approx((lost - gained) / problems) and loss.low <= loss.loss <= loss.high
    assert loss.refuses is refuses and loss.test == "McNemar exact"
    assert bool(refusals({"g": GuardScore(candidate.score, loss)})) is refuses


def test_the_reason_names_guard_loss_interval_and_margin() -> None:
    base, candidate = scores(100, 8)
    loss = measure_loss(base.score, candidate.score, 0.05)
    words = refusals({"words": base, "sorting": GuardScore(candidate.score, loss)})
    assert words == f"refused: guard sorting lost 0.080 ({loss.low:.3f} to {loss.high:.3f}) of margin 0.05, p = 0.0039"
    gain = measure_loss(candidate.score, base.score, 0.05)
    assert loss_in_words("sorting", gain) == f"guard sorting gained 0.080 ({loss.low:.3f} to {loss.high:.3f})"


def test_a_guard_that_the_base_model_does_not_solve_can_refuse_nothing() -> None:
    for solved, margin, can in ((0, 0.05, False), (4, 0.0, False), (5, 0.05, True), (5, 0.1, False)):
        assert can_refuse(evaluation({f"p{n}": (int(n < solved), 1) for n in range(50)}), margin) is can


def test_several_samples_of_a_problem_are_compared_by_bootstrap() -> None:
    base, candidate = ({f"p{n}": (right - n % 3, 10) for n in range(30)} for right in (9, 7))
    loss = measure_loss(evaluation(base), evaluation(candidate), 0.1)
    assert loss.test == "paired bootstrap" and loss.loss == pytest.approx(0.2) and loss.refuses
