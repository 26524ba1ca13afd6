import json
from typing import Any

from pytest import mark, raises

from selfimprove.errors import UserError
from selfimprove.problems import ReasoningGym, check_problems

SMALL: dict[str, Any] = {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1}


def test_the_quickstart_problems_are_distinct_and_numbered() -> None:
    problems = ReasoningGym(size=850, seed=1, settings=SMALL).load()
    check_problems(problems, "quickstart")
    assert [problem.id for problem in problems] == [f"chain_sum-{number}" for number in range(850)]
    assert {problem.source for problem in problems} == {"reasoning-gym:chain_sum"}


def test_the_same_settings_give_the_same_problems_and_a_larger_size_continues_them() -> None:
    few, more = ReasoningGym(size=30, settings=SMALL).load(), ReasoningGym(size=60, settings=SMALL).load()
    assert few == ReasoningGym(size=30, settings=SMALL).load()
    assert [(problem.id, problem.question) for problem in few] == [(problem.id, problem.question) for problem in more[:30]]
    assert few != ReasoningGym(size=30, seed=1000, settings=SMALL).load()


@mark.parametrize("task", ["chain_sum", "basic_arithmetic", "knights_knaves", "arc_agi", "spell_backward"])
def test_metadata_survives_json(task: str) -> None:
    for problem in ReasoningGym(task=task, size=3).load():
        assert json.loads(json.dumps(problem.metadata)) == problem.metadata
        assert problem.metadata["task"] == task


def test_a_task_that_runs_out_names_its_number_of_problems() -> None:
    one_digit = {"min_terms": 1, "max_terms": 1, "min_digits": 1, "max_digits": 1}
    with raises(UserError, match="only 10 distinct questions in 2000 draws, not 100"):
        ReasoningGym(size=100, settings=one_digit).load()


@mark.parametrize(
    ("source", "message"),
    [
        (ReasoningGym(task="chain_sums"), "no task 'chain_sums'; did you mean .*chain_sum"),
        (ReasoningGym(settings={"terms": 2}), "fails with settings {'terms': 2}"),
        (ReasoningGym(settings={"min_terms": 5, "max_terms": 2}), "max_terms must be >= min_terms"),
        (ReasoningGym(settings={"seed": 2}), "holds 'seed'; give it as a field"),
        (ReasoningGym(task="rubiks_cube", size=2), "gives no reference answers"),
    ],
)
def test_a_user_s_mistake_is_explained_in_one_line(source: ReasoningGym, message: str) -> None:
    with raises(UserError, match=message) as caught:
        source.load()
    assert "\n" not in str(caught.value)
