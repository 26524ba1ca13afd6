"""The two sets of a workflow: training problems and evaluation problems, with no question in both."""

from __future__ import annotations

from selfimprove.errors import UserError
from selfimprove.problems.split import check_problems, question_key, split
from selfimprove.protocols import ProblemSource
from selfimprove.records import Problem


def load_sets(
    source: ProblemSource, eval_problems: ProblemSource | int, seed: int, needs_reference: bool = True, eval_needs_reference: bool = True
) -> tuple[list[Problem], list[Problem]]:
    """Training and evaluation problems. Each of the two may lack reference answers unless they are needed.

    Raises:
        UserError: a set is empty, repeats a question, lacks a question or an answer, or the two share a question.
    """
    problems = list(source.load())
    check_problems(problems, "problems", needs_reference)
    if isinstance(eval_problems, int):
        training, evaluation = split(problems, eval_problems, seed)
        check_problems(evaluation, "eval_problems", eval_needs_reference)
        return training, evaluation
    evaluation = list(eval_problems.load())
    check_problems(evaluation, "eval_problems", eval_needs_reference)
    asked = {question_key(problem.question): problem.id for problem in evaluation}
    for problem in problems:
        if question_key(problem.question) in asked:
            twin = asked[question_key(problem.question)]
            raise UserError(
                f"problem {problem.id} asks the same as evaluation problem {twin}; the model must not train on the evaluation: remove one of them"
            )
    ids = {problem.id for problem in evaluation} & {problem.id for problem in problems}
    if ids:
        raise UserError(f"problem id {min(ids)} is in both problems and eval_problems; ids name traces, so they must differ")
    return problems, evaluation
