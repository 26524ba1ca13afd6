from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from selfimprove.errors import UserError
from selfimprove.problems import check_problems, question_key, split
from selfimprove.records import Problem


def problem(id: str, question: str, answer: str = "1") -> Problem:
    return Problem(id, question, answer, "test")


QUESTIONS = st.lists(st.sampled_from(["a b", "A  B", "c", " C", "d", "e", "f"]), min_size=1, max_size=12)


@given(QUESTIONS, st.integers(0, 6), st.integers())
def test_no_question_is_in_both_sets_and_no_problem_is_lost(questions: list[str], eval_problems: int, seed: int) -> None:
    problems = [problem(f"p{number}", question) for number, question in enumerate(questions)]
    distinct = {question_key(question) for question in questions}
    if eval_problems >= len(distinct):
        with raises(UserError, match=f"cannot set {eval_problems} of {len(distinct)} distinct questions apart for eval_problems"):
            split(problems, eval_problems, seed)
        return
    training, evaluation = split(problems, eval_problems, seed)
    asked = {question_key(item.question) for item in evaluation}
    assert len(asked) == eval_problems
    assert not asked & {question_key(item.question) for item in training}
    assert sorted(item.id for item in training + evaluation) == sorted(item.id for item in problems)


def test_the_seed_alone_decides_the_split() -> None:
    problems = [problem(f"p{number}", f"question {number}") for number in range(50)]
    assert split(problems, 10, seed=1) == split(problems, 10, seed=1)
    assert split(problems, 10, seed=1) != split(problems, 10, seed=2)


@mark.parametrize(
    ("problems", "message"),
    [
        ([], "evaluation: there are no problems"),
        ([problem("a", "q"), problem("b", " ")], "problem b has no question"),
        ([problem("a", "q"), problem("b", "r", "")], "problem b has no reference answer"),
        ([problem("a", "q"), problem("a", "r")], "two problems have the id a"),
        ([problem("a", "What is it?"), problem("b", "what  is IT?\n")], "problems a and b ask the same question"),
    ],
)
def test_the_first_unsuitable_problem_is_named(problems: list[Problem], message: str) -> None:
    with raises(UserError, match=message) as caught:
        check_problems(problems, "evaluation")
    assert "\n" not in str(caught.value)


def test_a_suitable_set_passes() -> None:
    check_problems([problem("a", "q"), problem("b", "r")], "evaluation")
