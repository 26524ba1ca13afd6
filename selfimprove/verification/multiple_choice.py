"""Verifies an answer that names one of several choices."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem

MARKUP = re.compile(r"\\[A-Za-z]+|[{}$*_`\s]+")
"""LaTeX commands, and the characters that enclose text in LaTeX and Markdown."""
ALONE = r"(?<![\w'’-])(?<![nN][oO][tT] )(?<!n't )({})(?![\w'’-])"
"""A choice that stands by itself and is not negated."""
NO_WORD = r"(?:(?<=[aA]nswer is [AI])|(?<=[aA]nswer: [AI])|(?<=[oO]ption [AI])|(?<=[cC]hoice [AI])|(?! [a-z])|(?= (?:or|and|is)\b))"
"""What follows an `A` that is not an article, or an `I` that is not a pronoun."""


@dataclass(frozen=True, config={"extra": "forbid"})
class MultipleChoice(Verifier):
    r"""Accepts an answer that names the choice of the reference answer and no other: `B`, `(B)`, `B) text`, `**B**`, `\boxed{B}`, `The answer is B`.

    `metadata["options"]` may hold the texts of the choices: a list (the first is A), or a mapping from letters. Then the answer may give the text
    instead of the letter, and so may the reference answer. Lower-case letters count if they stand alone or in brackets.
    """

    name = "multiple-choice"
    version = "1"

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE if the answer names no choice or more than one.

        Raises ValueError if the reference answer names no choice or more than one, or if the options are not texts.
        """
        options = _options(problem)
        reference = _named(problem.answer, options)
        if len(reference) != 1:
            raise ValueError(f"the reference answer of problem {problem.id} is not a choice: it must be a letter, or the text of one of the options")
        named = _named(answer, options)
        if len(named) != 1:
            return Outcome.UNPARSEABLE
        return Outcome.CORRECT if named == reference else Outcome.WRONG


def _options(problem: Problem) -> dict[str, str]:
    """The texts by letter; if the problem has no options, every letter with an empty text."""
    options = problem.metadata.get("options")
    if options is None:
        return dict.fromkeys(string.ascii_uppercase, "")
    texts = options if isinstance(options, Mapping) else dict(zip(string.ascii_uppercase, options, strict=False))
    if not texts or not all(isinstance(text, str) and len(letter) == 1 for letter, text in texts.items()):
        raise ValueError(f"the options of problem {problem.id} must be texts: a list, or a mapping from letters")
    return {letter.upper(): _bare(text) for letter, text in texts.items()}


def _named(text: str, options: Mapping[str, str]) -> set[str]:
    """The letters of all choices named in a text."""
    bare = _bare(text)
    if (letter := bare.strip("().:[] ").upper()) in options:
        return {letter}
    by_text = set()
    # Longest first: `dark red` does not name `red`. A text may contain the letter of another choice: `vitamin C`.
    for letter, option in sorted(options.items(), key=lambda item: -len(item[1])):
        if option and option.upper() not in options:
            bare, count = re.subn(ALONE.format(re.escape(option)), " ", bare, flags=re.IGNORECASE)
            by_text |= {letter} if count else set()
    letters = re.escape("".join(options))
    by_letter = set(re.findall(ALONE.format(f"[{letters}]") + f"(?:(?<![AI])|{NO_WORD})", bare))
    by_letter |= {letter.upper() for letter in re.findall(rf"[(\[]([{letters.lower()}])[)\]]", bare)}
    # An explanation may mention other options. A single other option contradicts the letter, so the answer is ambiguous.
    return by_letter | by_text if len(by_letter) != 1 or len(by_text) == 1 else by_letter


def _bare(text: str) -> str:
    return MARKUP.sub(" ", text).strip()
