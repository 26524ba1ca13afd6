"""Rationalization: unsolved problems are asked again with the answer as a hint (STaR, Zelikman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.prompting.chat import FewShot
from selfimprove.prompting.options import question_with_options
from selfimprove.protocols import Prompter
from selfimprove.records import Message, Problem
from selfimprove.records.numbers import Float, NonNegativeInt, PositiveInt
from selfimprove.thinking.thoughts import split

LEAKS = ("hint", "given answer", "answer given", "answer is given", "provided answer", "as stated", "we are told", "answer is {answer}")


@dataclass(frozen=True, config={"extra": "forbid"})
class Rationalization:
    """Problems without a right sample are asked again with a hint. Accepted rationales are trained on as if there had been none."""

    samples: PositiveInt = 2
    """Number of attempts per problem."""
    hint: str = "{question}\n(The answer is {answer}.)"
    """Template of question and hint, also used for exemplars."""
    leaks: tuple[str, ...] = LEAKS
    """Phrases, in any case, that show knowledge of the hint. A rationale with one of them is dropped as `leak`. `{answer}` stands for the problem's
    answer; a phrase with it is searched in all thoughts but the last, which may conclude with the answer."""
    share: Annotated[Float, Field(gt=0, le=1)] = 0.5
    """Maximum share of rationalized traces among a generation's accepted ones. The rest is dropped as `over share`."""
    resolve: NonNegativeInt = 0
    """Number of times that the model continues each rationale without the hint before it is accepted. Unless more than half of the answers are right,
    it is dropped as `unresolved`. 0 skips this test."""
    ablation: bool = False
    """Also train and evaluate each generation without the rationalized rows, to measure their worth. Doubles the training."""

    @field_validator("hint")
    @classmethod
    def _names_both(cls, hint: str) -> str:
        if "{question}" not in hint or "{answer}" not in hint:
            raise ValueError("it must contain {question} and {answer}")
        return hint


def hinted(prompter: Prompter, rule: Rationalization, problem: Problem) -> tuple[Message, ...]:
    """The prompter's chat for a problem, with the hint in its question and in those of its exemplars."""
    if isinstance(prompter, FewShot):
        exemplars = (replace(shown, question=_with_hint(rule, shown.question, shown.answer)) for shown in prompter.exemplars)
        prompter = replace(prompter, exemplars=tuple(exemplars))
    return prompter.messages(replace(problem, question=_with_hint(rule, question_with_options(problem), problem.answer)))


def _with_hint(rule: Rationalization, question: str, answer: str) -> str:
    # Not `format`: questions may contain braces.
    before, _, after = rule.hint.partition("{question}")
    return before.replace("{answer}", answer) + question + after.replace("{answer}", answer)


def leak(leaks: Sequence[str], problem: Problem, thinking: str) -> str | None:
    """The first of these phrases in a trace's thinking, as `Rationalization.leaks` explains them; None if it has none."""
    thoughts = [thought for thought in split(thinking) if thought.text.strip()]
    early = thinking[: thoughts[-1].start] if len(thoughts) > 1 else thinking
    for sign in leaks:
        where = early if "{answer}" in sign else thinking
        if sign.replace("{answer}", problem.answer).casefold() in where.casefold():
            return sign
    return None
