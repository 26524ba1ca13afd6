"""Verifies an answer that names one of several choices."""

from __future__ import annotations

import string

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.records.options import options_of
from selfimprove.verification.named_choices import bare_text, named_choices


@dataclass(frozen=True, config={"extra": "forbid"})
class MultipleChoice(Verifier):
    r"""Accepts an answer that names the choice of the reference answer and no other: `B`, `(B)`, `B) text`, `**B**`, `\boxed{B}`, `The answer is B`.

    `metadata["options"]` may hold the texts of the choices, which the prompters show: a list (the first is A), or a mapping from letters. Then the
    answer may give the text instead of the letter, and so may the reference answer. Lower-case letters count if they stand alone, in brackets or
    beside another choice.

    Only what follows the last `final answer:` counts, else what follows the first `answer:` or `\boxed`. Choices that are rejected (`not A but B`,
    `A is wrong`) do not count; an answer that rejects, doubts or takes back the only choice that it names, names none.
    """

    name = "multiple-choice"
    version = "2"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE if the answer names no choice or more than one.

        Raises ValueError if the reference answer names no choice or more than one, or if the options are not texts.
        """
        options = _options(problem)
        reference = named_choices(problem.answer, options)
        if reference is None or len(reference) != 1:
            raise ValueError(f"the reference answer of problem {problem.id} is not a choice: it must be a letter, or the text of one of the options")
        named = named_choices(answer, options)
        if named is None or len(named) != 1:
            return Outcome.UNPARSEABLE
        return Outcome.CORRECT if named == reference else Outcome.WRONG


def _options(problem: Problem) -> dict[str, str]:
    """The texts by letter; if the problem has no options, every letter with an empty text."""
    if problem.metadata.get("options") is None:
        return dict.fromkeys(string.ascii_uppercase, "")
    if not (options := options_of(problem)):
        raise ValueError(f"the options of problem {problem.id} must be up to 26 texts: a list, or a mapping from letters")
    return {letter: bare_text(text) for letter, text in options.items()}
