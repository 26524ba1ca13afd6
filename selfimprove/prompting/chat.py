"""Prompters: the plain question, a zero-shot trigger, and few-shot exemplars."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.prompting.options import question_with_options
from selfimprove.records import Message, Problem
from selfimprove.records.delimiters import THINK, Delimiters


@dataclass(frozen=True, config={"extra": "forbid"})
class PlainQuestion:
    """The question alone, as the finished model will be asked; for multiple choice with the options below it, `A. red` and so on."""

    system: str | None = "You reason before you answer."
    """System prompt; None for none, so that some chat templates insert a long one of their own."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt and the question."""
        return (*_system(self.system), Message(role="user", content=question_with_options(problem)))


@dataclass(frozen=True, config={"extra": "forbid"})
class ZeroShot:
    """The question and a trigger phrase (Kojima et al. 2022)."""

    trigger: str = "Let's think step by step."
    """Phrase below the question."""
    system: str | None = "Write your thoughts between <think> and </think>, then the answer alone."
    """System prompt that asks for a block of thinking, with the workflow's delimiters."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt, then question and trigger in one turn."""
        return (
            *_system(self.system),
            Message(role="user", content=f"{question_with_options(problem)}\n{self.trigger}"),
        )


@dataclass(frozen=True, config={"extra": "forbid"})
class Exemplar:
    """A question with a worked answer."""

    question: str
    """The question, in the form of the problems, with its options if it has some; not an evaluation problem."""
    rationale: str
    """Chain of thought, without delimiters."""
    answer: str
    """The answer alone, which follows the thinking."""

    def completion(self, delimiters: Delimiters = THINK) -> str:
        """The turn that the model should imitate."""
        return f"{delimiters.begin}\n{self.rationale}\n{delimiters.end}\n{self.answer}"


@dataclass(frozen=True, config={"extra": "forbid"})
class FewShot:
    """Chain-of-thought exemplars as earlier turns of the chat (Wei et al. 2022)."""

    exemplars: tuple[Exemplar, ...]
    """Exemplars in the order of the chat."""
    system: str | None = "You reason before you answer."
    """System prompt before the exemplars; None for none."""
    delimiters: Delimiters = THINK
    """Delimiters around the exemplars' thinking; they must be the workflow's."""
    one_turn: bool = False
    """Whether the exemplars stand as text above the question, in its turn: for chat templates that drop the thinking of earlier turns."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt, two turns per exemplar, then the question."""
        if self.one_turn:
            shown = (f"{exemplar.question}\n\n{exemplar.completion(self.delimiters)}" for exemplar in self.exemplars)
            return (*_system(self.system), Message(role="user", content="\n\n\n".join([*shown, question_with_options(problem)])))
        turns = [*_system(self.system)]
        for exemplar in self.exemplars:
            turns += [Message(role="user", content=exemplar.question), Message(role="assistant", content=exemplar.completion(self.delimiters))]
        return (*turns, Message(role="user", content=question_with_options(problem)))


def _system(prompt: str | None) -> tuple[Message, ...]:
    return () if prompt is None else (Message(role="system", content=prompt),)
