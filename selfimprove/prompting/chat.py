"""Problems as chats: the bare question, a zero-shot trigger, and few-shot exemplars."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from selfimprove.records import Message, Problem
from selfimprove.records.delimiters import THINK, Delimiters


@dataclass(frozen=True, config={"extra": "forbid"})
class PlainQuestion:
    """The question alone: what the finished model will be asked."""

    system: str = "You reason before you answer."
    """The system prompt; some chat templates put in a long one of their own where none is given."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """System prompt and question."""
        return (Message(role="system", content=self.system), Message(role="user", content=problem.question))


@dataclass(frozen=True, config={"extra": "forbid"})
class ZeroShot:
    """The question and a trigger phrase (Kojima et al. 2022)."""

    trigger: str = "Let's think step by step."
    """What is written below the question."""
    system: str = "Write your thoughts between <think> and </think>, then the answer alone."
    """The system prompt: it asks for the block of thinking, with the workflow's delimiters."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """System prompt, then question and trigger as one turn."""
        return (
            Message(role="system", content=self.system),
            Message(role="user", content=f"{problem.question}\n{self.trigger}"),
        )


@dataclass(frozen=True, config={"extra": "forbid"})
class Exemplar:
    """A question with a worked answer."""

    question: str
    """As a problem would ask it; none of the evaluation's."""
    rationale: str
    """The chain of thought, without delimiters."""
    answer: str
    """What follows the thinking: the answer alone."""

    def completion(self, delimiters: Delimiters = THINK) -> str:
        """The turn that the model is to imitate."""
        return f"{delimiters.begin}\n{self.rationale}\n{delimiters.end}\n{self.answer}"


@dataclass(frozen=True, config={"extra": "forbid"})
class FewShot:
    """Chain-of-thought exemplars as earlier turns of the chat (Wei et al. 2022)."""

    exemplars: tuple[Exemplar, ...]
    """Earlier turns of the chat, in this order."""
    system: str = "You reason before you answer."
    """The system prompt, before the exemplars."""
    delimiters: Delimiters = THINK
    """What the exemplars show around their thinking: those of the workflow."""

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """System prompt, one pair of turns per exemplar, then the question."""
        turns = [Message(role="system", content=self.system)]
        for exemplar in self.exemplars:
            turns += [Message(role="user", content=exemplar.question), Message(role="assistant", content=exemplar.completion(self.delimiters))]
        return (*turns, Message(role="user", content=problem.question))
