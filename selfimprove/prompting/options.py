"""Shows the choices of a problem below its question."""

from __future__ import annotations

import re

from selfimprove.records import Problem
from selfimprove.records.options import options_of


def question_with_options(problem: Problem) -> str:
    """The question, and below it each choice with its letter: `A. red`.

    Choices that the question shows with their letters already are not repeated.
    """
    options = options_of(problem)
    if all(_is_shown(problem.question, letter, text) for letter, text in options.items()):
        return problem.question
    return "\n".join([problem.question, *(f"{letter}. {text}" for letter, text in options.items())])


def _is_shown(question: str, letter: str, text: str) -> bool:
    return re.search(rf"(?<!\w){letter}[^\w\n]{{1,4}}{re.escape(text.strip())}(?!\w)", question, re.IGNORECASE) is not None
