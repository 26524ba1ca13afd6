"""Checks a set of problems, and splits it into training and evaluation problems."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.records import Problem
from selfimprove.records.foreign_text import require_storable


def question_key(question: str) -> str:
    """The question without differences in case and white space: problems with equal keys count as the same."""
    return " ".join(question.split()).casefold()


def check_problems(problems: Sequence[Problem], what: str, needs_reference: bool = True) -> None:
    """Refuse an unsuitable set; `what` names it in the message.

    Raises:
        UserError: the set is empty, or a problem lacks its question or reference answer, repeats an id or question, or cannot be stored.
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
        if (reason := _unstorable(problem)) is not None:
            raise UserError(f"{what}: problem {problem.id[:60]!r} cannot be stored as JSON: {reason}; correct it or leave it out")
        if problem.id in ids:
            raise UserError(f"{what}: two problems have the id {problem.id}; give each its own")
        ids.add(problem.id)
        earlier = questions.setdefault(question_key(problem.question), problem.id)
        if earlier != problem.id:
            raise UserError(f"{what}: problems {earlier} and {problem.id} ask the same question; leave one out")


_adapter = cache(TypeAdapter)


def _unstorable(problem: Problem) -> str | None:
    """Why the run folder could not hold this problem; None if it can."""
    try:
        data = _adapter(Problem).dump_python(problem, mode="json")
        require_storable(data)
        json.dumps(data)
    except (ValueError, TypeError, RecursionError) as error:
        return " ".join(str(error).split())[:200]
    return None


def split(problems: Sequence[Problem], count: int, seed: int, what: str = "eval_problems") -> tuple[list[Problem], list[Problem]]:
    """The training problems, and those of `count` questions drawn by `seed`; both in the order given. `what` names the drawn set in an error.

    No question is in both sets, ignoring case and white space.

    Raises:
        UserError: no problem would be left for training.
    """
    questions = list(dict.fromkeys(question_key(problem.question) for problem in problems))
    if not 0 <= count < len(questions):
        raise UserError(f"cannot set {count} of {len(questions)} distinct questions apart for {what}; lower it or give more problems")
    chosen = set(random.Random(seed).sample(questions, count))
    training = [problem for problem in problems if question_key(problem.question) not in chosen]
    return training, [problem for problem in problems if question_key(problem.question) in chosen]
