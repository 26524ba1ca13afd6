"""Whether the model is shown the options of multiple-choice problems."""

from __future__ import annotations

from collections.abc import Sequence

from selfimprove.protocols import Prompter
from selfimprove.records import Problem
from selfimprove.records.options import options_of


def hidden_options(prompters: Sequence[Prompter], problems: Sequence[Problem]) -> str | None:
    """What the prompters leave out: whose chats lack an option of a problem, and for how many problems. None if they show all."""
    with_options = [(problem, options) for problem in problems if (options := options_of(problem))]
    for prompter in prompters:
        hidden = [problem.id for problem, options in with_options if not _shows(prompter, problem, options)]
        if hidden:
            name = type(prompter).__name__
            return f"{name} does not show the options of {len(hidden)} of {len(with_options)} problems that have some; first: {hidden[0]}"
    return None


def _shows(prompter: Prompter, problem: Problem, options: dict[str, str]) -> bool:
    chat = "\n".join(message["content"] for message in prompter.messages(problem))
    return all(text.strip() in chat for text in options.values())
