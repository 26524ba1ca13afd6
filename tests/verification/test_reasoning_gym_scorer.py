import json
from dataclasses import replace
from decimal import Decimal

from pytest import mark, raises

from selfimprove.problems import ReasoningGym
from selfimprove.protocols import Verifier
from selfimprove.records import Grade, Outcome, Problem
from selfimprove.verification import ReasoningGymScorer


# Their scorers compare numbers, read metadata, compare tuples in it, or read the task's settings.
@mark.parametrize("task", ["chain_sum", "countdown", "arc_agi", "knights_knaves", "decimal_arithmetic", "word_ladder"])
def test_a_task_accepts_its_own_reference_answers_after_a_trip_through_json(task: str) -> None:
    for problem in ReasoningGym(task=task, size=3).load():
        stored = replace(problem, metadata=json.loads(json.dumps(problem.metadata)))
        assert ReasoningGymScorer().verify(stored, problem.answer) == Grade(1.0)


def test_a_scorer_sees_the_settings_that_made_the_problem() -> None:
    # The scorer tolerates one unit in the last decimal place that the settings allow.
    places = {"min_num_decimal_places": 1, "max_num_decimal_places": 1}
    problem = ReasoningGym(task="decimal_arithmetic", size=1, settings=places).load()[0]
    close = str(Decimal(problem.answer) + Decimal("0.1"))
    assert ReasoningGymScorer().verify(problem, close) == Grade(1.0)
    strict = ReasoningGymScorer().verify(replace(problem, metadata={**problem.metadata, "settings": {}}), close)
    assert isinstance(strict, Grade) and strict.outcome is Outcome.WRONG


def test_a_score_below_full_marks_is_wrong_with_partial_credit() -> None:
    import reasoning_gym

    problem = ReasoningGym(size=1).load()[0]
    answer = f"The answer is {problem.answer}"
    entry = {"question": problem.question, "answer": problem.answer, "metadata": {}}
    score = reasoning_gym.get_score_answer_fn("chain_sum")(answer, entry)
    assert 0.0 < score < 1.0
    assert ReasoningGymScorer().verify(problem, answer) == Grade(score) and Grade(score).outcome is Outcome.WRONG


def test_a_problem_from_elsewhere_is_an_error() -> None:
    with raises(ValueError, match="problem p does not come from the source ReasoningGym"):
        ReasoningGymScorer().verify(Problem("p", "q", "5", "test"), "5")


def test_it_is_a_verifier() -> None:
    assert isinstance(ReasoningGymScorer(), Verifier)
