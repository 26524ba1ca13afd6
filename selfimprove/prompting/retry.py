"""Retry: a problem whose samples were wrong is asked again, with a wrong answer and the model's critique of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from selfimprove.records import Message
from selfimprove.records.numbers import Float, PositiveInt

LEAKS = (
    *("earlier answer", "previous answer", "first answer", "my answer", "your answer", "last answer"),
    *("earlier attempt", "previous attempt", "first attempt", "last attempt", "went wrong", "critique"),
)


@dataclass(frozen=True, config={"extra": "forbid"})
class Retry:
    """Problems whose samples were wrong are asked again: the model criticises its wrong answer, then tries again.

    It sees its answer and the verifier's outcome, never the reference answer. What then verifies is trained on: reflect, retry, reward (Bensal et al.
    2025, arXiv 2505.24726), with rejection sampling in place of reinforcement.
    """

    samples: PositiveInt = 2
    """Number of attempts per problem, each after a critique of its own. They criticise different wrong answers where there are several."""
    critique: str = "Your answer is {outcome}. Say in one or two sentences what went wrong. Do not solve the problem yet."
    """Request for a critique, put after the question and the wrong answer."""
    again: str = "Now solve the problem again, from the beginning."
    """Request for another attempt, put after the critique."""
    trains: Literal["question", "critique"] = "question"
    """What a right attempt trains: the bare question with the attempt as its answer, or the critique that led to it."""
    leaks: tuple[str, ...] = LEAKS
    """Phrases, in any case, that show knowledge of an earlier answer, which the bare question does not have. An attempt with one of them is dropped
    as `leak`, unless critiques are trained on. `{answer}` is as in `Rationalization`."""
    share: Annotated[Float, Field(gt=0, le=1)] = 0.5
    """Maximum share of such rows among a generation's accepted ones. The rest is dropped as `over share`."""
    ablation: bool = False
    """Also train and evaluate each generation without these rows, to measure their worth. Doubles the training."""

    @field_validator("critique")
    @classmethod
    def _names_outcome(cls, critique: str) -> str:
        if "{outcome}" not in critique:
            raise ValueError("it must contain {outcome}")
        return critique


def asked_for_critique(rule: Retry, prompt: tuple[Message, ...], answer: str, outcome: str) -> tuple[Message, ...]:
    """The chat that asks for a critique of an answer: `prompt`, the answer, and what verifying it came to."""
    request = Message(role="user", content=rule.critique.replace("{outcome}", outcome))
    return (*prompt, Message(role="assistant", content=answer), request)


def asked_again(rule: Retry, criticised: tuple[Message, ...], critique: str) -> tuple[Message, ...]:
    """The chat that asks for another attempt after a critique."""
    return (*criticised, Message(role="assistant", content=critique), Message(role="user", content=rule.again))
