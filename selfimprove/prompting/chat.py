"""Prompters: the plain question, a zero-shot trigger, and few-shot exemplars."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.prompting.options import question_with_options
from selfimprove.records import Message, Problem
from selfimprove.records.delimiters import THINK, Delimiters


@dataclass(frozen=True, config={"extra": "forbid"})
class PlainQuestion:
    """The question alone, as the finished model will be asked; for multiple choice with the options below it, `A. red` and so on."""

    system: str = "You reason before you answer."
    """System prompt. Without one, some chat templates insert a long one of their own."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt and the question."""
        return (Message(role="system", content=self.system), Message(role="user", content=question_with_options(problem)))


@dataclass(frozen=True, config={"extra": "forbid"})
class ZeroShot:
    """The question and a trigger phrase (Kojima et al. 2022)."""

    trigger: str = "Let's think step by step."
    """Phrase below the question."""
    system: str = "Write your thoughts between <think> and </think>, then the answer alone."
    """System prompt that asks for a block of thinking, with the workflow's delimiters."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt, then question and trigger in one turn."""
        return (
            Message(role="system", content=self.system),
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
    system: str = "You reason before you answer."
    """System prompt before the exemplars."""
    delimiters: Delimiters = THINK
    """Delimiters around the exemplars' thinking; they must be the workflow's."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The system prompt, two turns per exemplar, then the question."""
        turns = [Message(role="system", content=self.system)]
        for exemplar in self.exemplars:
            turns += [Message(role="user", content=exemplar.question), Message(role="assistant", content=exemplar.completion(self.delimiters))]
        return (*turns, Message(role="user", content=question_with_options(problem)))
