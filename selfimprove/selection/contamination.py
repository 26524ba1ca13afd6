"""Keeps evaluation questions out of the training data."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import AcceptedTrace, Problem
from selfimprove.records.numbers import Float, PositiveInt

WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, config={"extra": "forbid"})
class Contamination:
    """When a text gives away an evaluation question: it contains most of the question's n-grams.

    The n-grams are 13-grams of words and signs, as in GPT-3 (Brown et al. 2020, appendix C), where a single common one is enough. Here it takes a
    share of them, because different questions of one template have n-grams in common. A question of fewer than n words is one n-gram: only the whole
    question counts.
    """

    n: PositiveInt = 13
    """Words and signs in an n-gram."""
    share: Annotated[Float, Field(gt=0, le=1)] = 0.7
    """Share of the question's n-grams that the text must contain."""


class EvalIndex:
    """The n-grams of the evaluation questions."""

    def __init__(self, rule: Contamination, eval_problems: Iterable[Problem]) -> None:
        self._rule = rule
        self._questions: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._wanted: dict[str, int] = {}
        self._lengths: set[int] = set()
        for problem in eval_problems:
            words = _words(problem.question)
            length = min(rule.n, len(words))
            grams = set(_grams(words, length))
            self._wanted[problem.id] = len(grams)
            self._lengths.add(length)
            for gram in grams:
                self._questions[gram].add(problem.id)

    def given_away(self, text: str) -> str | None:
        """The id of an evaluation problem whose question the text gives away; None if there is none."""
        words = _words(text)
        found: dict[str, int] = defaultdict(int)
        for length in self._lengths:
            for gram in set(_grams(words, length)):
                for problem in self._questions.get(gram, ()):
                    found[problem] += 1
        return min((problem for problem, grams in found.items() if grams >= self._rule.share * self._wanted[problem]), default=None)

    def clean_problems(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems whose question gives away no evaluation question."""
        return [problem for problem in problems if self.given_away(problem.question) is None]

    def clean_rows(self, rows: Sequence[AcceptedTrace]) -> list[AcceptedTrace]:
        """The rows whose question and completion give away no evaluation question.

        Exemplars and system prompts are not checked here: `selfimprove check` refuses exemplars that ask an evaluation question.
        """
        return [row for row in rows if self.given_away(row.messages[-1]["content"]) is None and self.given_away(row.completion) is None]


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _grams(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1)) if length else iter(())
