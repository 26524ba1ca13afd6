"""Rationalization: what could not be solved is asked again with its answer as a hint (STaR, Zelikman et al. 2022)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.prompting.chat import FewShot
from selfimprove.protocols import Prompter
from selfimprove.records import Message, Problem
from selfimprove.thinking.thoughts import split

LEAKS = ("hint", "given answer", "answer given", "answer is given", "provided answer", "as stated", "we are told", "answer is {answer}")


@dataclass(frozen=True, config={"extra": "forbid"})
class Rationalization:
    """Problems without a right sample are tried again with a hint; what passes is trained on as if the model had found it by itself."""

    samples: PositiveInt = 2
    """Attempts at each such problem."""
    hint: str = "{question}\n(The answer is {answer}.)"
    """How question and hint are put together; exemplars get theirs in the same way."""
    leaks: tuple[str, ...] = LEAKS
    """Rationales that hold one of these, in any case, are dropped as `leak`: they speak of the hint, or state the answer before they reason.
    `{answer}` stands for the problem's answer; such a sign is looked for in all thoughts but the last, which may conclude with it."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The most of a generation's accepted traces that may be rationalized ones; those beyond are dropped as `over share`."""
    resolve: NonNegativeInt = 0
    """Before a rationale is accepted, the model goes on from it so many times without having seen the hint; where not more than half of the answers
    are right, it is dropped as `unresolved`. 0: it is not asked."""
    ablation: bool = False
    """Train each generation a second time without the rationalized rows and take the same evaluation: what they are worth, for twice the training."""

    @field_validator("hint")
    @classmethod
    def _names_both(cls, hint: str) -> str:
        if "{question}" not in hint or "{answer}" not in hint:
            raise ValueError("it has to hold {question} and {answer}")
        return hint


def hinted(prompter: Prompter, rule: Rationalization, problem: Problem) -> tuple[Message, ...]:
    """The chat that a prompter makes of a problem, with the hint in the question, and in those of its exemplars."""
    if isinstance(prompter, FewShot):
        exemplars = (replace(shown, question=_with_hint(rule, shown.question, shown.answer)) for shown in prompter.exemplars)
        prompter = replace(prompter, exemplars=tuple(exemplars))
    return prompter.messages(replace(problem, question=_with_hint(rule, problem.question, problem.answer)))


def _with_hint(rule: Rationalization, question: str, answer: str) -> str:
    # Not `format`: questions hold braces of their own.
    before, _, after = rule.hint.partition("{question}")
    return before.replace("{answer}", answer) + question + after.replace("{answer}", answer)


def leak(rule: Rationalization, problem: Problem, thinking: str) -> str | None:
    """The sign by which a rationale shows that it was written with the answer in view; None where there is none."""
    thoughts = [thought for thought in split(thinking) if thought.text.strip()]
    early = thinking[: thoughts[-1].start] if len(thoughts) > 1 else thinking
    for sign in rule.leaks:
        where = early if "{answer}" in sign else thinking
        if sign.replace("{answer}", problem.answer).casefold() in where.casefold():
            return sign
    return None
