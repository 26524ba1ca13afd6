"""The two sets of a workflow: problems to learn from, and problems of the exam, disjoint by question."""

from __future__ import annotations

from selfimprove.errors import UserError
from selfimprove.problems.split import check_problems, question_key, split
from selfimprove.protocols import ProblemSource
from selfimprove.records import Problem


def load_sets(source: ProblemSource, held_out: ProblemSource | int, seed: int, needs_reference: bool = True) -> tuple[list[Problem], list[Problem]]:
    """Training and held-out problems. Unless `needs_reference`, those of training may have an empty reference answer; those held out never.

    Raises:
        UserError: a set is empty, repeats a question, lacks a question or an answer, or the two share a question.
    """
    problems = list(source.load())
    check_problems(problems, "problems", needs_reference)
    if isinstance(held_out, int):
        training, exam = split(problems, held_out, seed)
        check_problems(exam, "held_out")
        return training, exam
    exam = list(held_out.load())
    check_problems(exam, "held_out")
    asked = {question_key(problem.question): problem.id for problem in exam}
    for problem in problems:
        if question_key(problem.question) in asked:
            twin = asked[question_key(problem.question)]
            raise UserError(f"problem {problem.id} asks the same as held-out problem {twin}; training on the exam proves nothing: remove one of them")
    ids = {problem.id for problem in exam} & {problem.id for problem in problems}
    if ids:
        raise UserError(f"problem id {min(ids)} is in both problems and held_out; ids name traces, so they must differ")
    return problems, exam
