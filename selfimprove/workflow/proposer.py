"""Problems that the model proposes: how it is asked for new questions, and which of them it learns from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Message, Problem
from selfimprove.records.numbers import Float, NonNegativeFloat, PositiveInt
from selfimprove.settings.objects import no_class
from selfimprove.verification.function_verifier import FunctionVerifier

Part = Annotated[Float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Proposer:
    """The champion asks new questions in the manner of the given ones, and the next generation learns from them (R-Zero, Huang et al. 2025; Absolute
    Zero, Zhao et al. 2025).

    Each new question is answered several times. It is handed on where the answers agree neither too little nor too much; the majority's answer is its
    label, in place of a reference answer. Labels may be false: `checker` measures how many are.
    """

    questions: PositiveInt = 100
    """Number of questions that the champion is asked for before each generation."""
    shown: PositiveInt = 8
    """Number of given questions that it sees each time, a new draw for each request."""
    first: PositiveInt = 2
    """First generation with proposed questions: 2, since a base model labels its questions poorly."""
    temperature: NonNegativeFloat = 1.0
    """Sampling temperature of the questions. Their answers are sampled as `Workflow.sampling` says."""
    max_tokens: PositiveInt | None = None
    """Maximum number of tokens of a question, with any thinking before it; None for that of `Workflow.sampling`."""
    system: str | None = "You write new questions: of the same kind as those before, but about something else."
    """System prompt; None for none."""
    request: Annotated[str, Field(min_length=1)] = "Write a new question."
    """What is asked before each shown question, and before the new one."""
    form: str | None = None
    r"""Regular expression that the whole question must match, such as `r"What is \d+ \+ \d+\?"`; others are malformed. None: any form."""
    samples: Annotated[PositiveInt, Field(ge=2)] = 10
    """Number of times that each new question is answered."""
    agreement: tuple[Part, Part] = (0.3, 0.8)
    """Smallest and largest share of the samples that may give the commonest answer. A question below is too hard or makes no sense, one above teaches
    nothing new."""
    majority: Part = 0.5
    """Share of the samples that must give the commonest answer to make it the label; a question below is dropped as `no majority`."""
    given: bool = True
    """Whether the given problems are sampled too; False: the proposed ones alone, where there are any."""
    checker: Verifier | None = None
    """Solves a question itself and tells whether an answer to it is right: a function of a problem and an answer, or a verifier without a reference
    answer. It only counts false labels for the report; it drops nothing."""

    @field_validator("form")
    @classmethod
    def _compiles(cls, form: str | None) -> str | None:
        try:
            re.compile(form or "")
        except re.error as error:
            raise ValueError(f"{form!r} is not a regular expression: {error}") from error
        return form

    @field_validator("checker", mode="before")
    @classmethod
    def _solves_itself(cls, checker: Any) -> Any:
        part = no_class(checker)
        return FunctionVerifier(part, reference=False) if callable(part) and not isinstance(part, Verifier) else part

    @model_validator(mode="after")
    def _fits(self) -> Proposer:
        low, high = self.agreement
        if low > high:
            raise ValueError(f"agreement={self.agreement}: the first share must not exceed the second")
        if self.majority > high:
            raise ValueError(f"majority={self.majority:g} leaves nothing, since no more than {high:g} may agree; lower it")
        if self.checker is not None and self.checker.needs_reference:
            raise ValueError(f"the checker {self.checker.name} compares with a reference answer, which a new question lacks; give one that solves it")
        return self

    def messages(self, shown: Sequence[Problem]) -> tuple[Message, ...]:
        """The chat that asks for a new question: each shown one is an earlier turn of the model."""
        turns = [] if self.system is None else [Message(role="system", content=self.system)]
        for problem in shown:
            turns += [Message(role="user", content=self.request), Message(role="assistant", content=problem.question)]
        return (*turns, Message(role="user", content=self.request))

    def traces(self, generations: int) -> int:
        """Most traces of questions and of answers for their labels in a run of so many generations."""
        return self.questions * (1 + self.samples) * max(0, generations - self.first + 1)
