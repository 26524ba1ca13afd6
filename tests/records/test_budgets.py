"""Budgets by difficulty: a monotone rule with a given mean."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import make_toy_model, toy_workflow

from selfimprove import Budget, BudgetByDifficulty, DifficultyModel, Round, Sampling, UserError
from selfimprove.prompting.chat import PlainQuestion
from selfimprove.records import Problem
from selfimprove.sampling.sampling import requests_for
from selfimprove.settings.paths import override

rates = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0, 1), min_size=1, max_size=60)


@st.composite
def rules(draw: st.DrawFn) -> BudgetByDifficulty:
    easy, hard = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    mean = draw(st.one_of(st.none(), st.floats(min(easy, hard), max(easy, hard))))
    return BudgetByDifficulty(easy=easy, hard=hard, mean=mean)


@given(rules(), rates)
def test_a_harder_problem_never_thinks_shorter_or_never_longer(rule: BudgetByDifficulty, predicted: dict[str, float]) -> None:
    limits = rule.limits(predicted)
    assert limits.keys() == predicted.keys()
    by_rate = sorted(predicted, key=lambda name: (predicted[name], limits[name] * (1 if rule.easy > rule.hard else -1)))
    ordered = [limits[name] for name in by_rate]
    assert ordered == sorted(ordered, reverse=rule.hard > rule.easy)
    assert all(min(rule.easy, rule.hard) <= limit <= max(rule.easy, rule.hard) for limit in ordered)


@given(rules(), rates)
def test_the_mean_is_kept_to_half_a_token_of_the_sum(rule: BudgetByDifficulty, predicted: dict[str, float]) -> None:
    if rule.mean is not None:
        assert abs(sum(rule.limits(predicted).values()) - rule.mean * len(predicted)) <= 0.5 + 1e-6


def test_without_a_mean_the_limit_is_in_proportion() -> None:
    rule = BudgetByDifficulty(easy=10, hard=30, otherwise=Budget(min_tokens=4, answer_tokens=8))
    assert rule.limits({"sure": 1.0, "half": 0.5, "never": 0.0}) == {"never": 30, "half": 20, "sure": 10}
    assert rule.budgets({"half": 0.5}) == {"half": Budget(min_tokens=4, max_tokens=20, answer_tokens=8)}
    assert rule.unpredicted == Budget(min_tokens=4, max_tokens=30, answer_tokens=8)
    assert BudgetByDifficulty(easy=10, hard=30, mean=14).unpredicted == Budget(max_tokens=14)


def test_a_part_of_the_problems_gets_the_budgets_of_all_and_what_is_not_predicted_gets_the_mean() -> None:
    problems = [Problem(f"p{n}", f"What is {n}?", str(n), "test") for n in range(10)]
    predicted = {problem.id: n / 9 for n, problem in enumerate(problems[:9])}
    decoding = Sampling(n=2, budget=BudgetByDifficulty(easy=5, hard=25, mean=12))
    whole = requests_for(problems, PlainQuestion(), decoding, "g2", predicted=predicted)
    assert whole[:6] + whole[-2:] == requests_for([*problems[:3], problems[9]], PlainQuestion(), decoding, "g2", predicted=predicted)
    limits = [request.budget.max_tokens for request in whole if request.budget and request.id.endswith("s0")]
    assert limits[:9] == sorted(limits[:9], reverse=True) and sum(limits[:9]) == 9 * 12 and limits[9] == 12


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"easy": 5, "hard": 9, "mean": 10}, "mean=10 is not between"),
        ({"easy": 5, "hard": 9, "otherwise": Budget(max_tokens=7)}, "leave it out"),
        ({"easy": 5, "hard": 9, "otherwise": Budget(min_tokens=6)}, "min_tokens=6"),
    ],
)
def test_limits_that_exclude_each_other_are_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=complaint):
        BudgetByDifficulty(**settings)  # type: ignore[arg-type]


def test_a_workflow_has_to_predict_what_its_budgets_go_by(tmp_path: Path) -> None:
    model = make_toy_model(tmp_path / "model", 0.3)
    decoding = Sampling(budget=BudgetByDifficulty(easy=5, hard=25, mean=12))
    for place in ({"sampling": decoding}, {"eval_sampling": decoding}, {"rounds": (Round(sampling=decoding),)}):
        with pytest.raises(pydantic.ValidationError, match="set difficulty=DifficultyModel"):
            toy_workflow(model, **place)
    workflow = toy_workflow(model, sampling=decoding, difficulty=DifficultyModel())
    changed = override(workflow, "sampling.budget.mean=20").sampling.budget
    assert isinstance(changed, BudgetByDifficulty) and changed.mean == 20
    with pytest.raises(UserError, match="is not between easy and hard"):
        override(workflow, "sampling.budget.mean=30")
