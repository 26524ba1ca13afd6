"""Checks a set of problems and divides it into one to train on and one to evaluate with."""

from __future__ import annotations

import random
from collections.abc import Sequence

from selfimprove.errors import UserError
from selfimprove.records import Problem


def question_key(question: str) -> str:
    """The question by which two problems are the same: case and white space do not count."""
    return " ".join(question.split()).casefold()


def check_problems(problems: Sequence[Problem], what: str, needs_reference: bool = True) -> None:
    """Refuse what no run should start with; `what` names the set in the message.

    Raises UserError for an empty set, and for the first problem without a question or reference answer, or with the id or
    the question of an earlier one.
    """
    if not problems:
        raise UserError(f"{what}: there are no problems; give at least one")
    ids: set[str] = set()
    questions: dict[str, str] = {}
    for problem in problems:
        if not problem.question.strip():
            raise UserError(f"{what}: problem {problem.id} has no question; give it one or leave it out")
        if needs_reference and not problem.answer.strip():
            raise UserError(f"{what}: problem {problem.id} has no reference answer; give it one or leave it out")
        if problem.id in ids:
            raise UserError(f"{what}: two problems have the id {problem.id}; give each its own")
        ids.add(problem.id)
        earlier = questions.setdefault(question_key(problem.question), problem.id)
        if earlier != problem.id:
            raise UserError(f"{what}: problems {earlier} and {problem.id} ask the same question; leave one out")


def split(problems: Sequence[Problem], eval_problems: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """The problems to train on, and those of `eval` questions drawn by `seed`; both in the order given.

    No question is on both sides, whatever its case and white space. Raises UserError where nothing would be left to train on.
    """
    questions = list(dict.fromkeys(question_key(problem.question) for problem in problems))
    if not 0 <= eval_problems < len(questions):
        raise UserError(f"cannot hold out {eval_problems} of {len(questions)} distinct questions; hold out fewer or give more problems")
    chosen = set(random.Random(seed).sample(questions, eval_problems))
    training = [problem for problem in problems if question_key(problem.question) not in chosen]
    return training, [problem for problem in problems if question_key(problem.question) in chosen]
