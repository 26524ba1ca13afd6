"""Judges an answer by its mathematical value, with math-verify."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.records import Outcome, Problem
from selfimprove.verification.numerals import compare_numerals

NUMERAL = re.compile(r"[+-]?[\d.,]+")
"""What means the same as text and as LaTeX, and is read three times as fast as text."""

FORMS = (r"$\frac{1}{2}$", r"$2\sqrt{3}$", r"$\frac{3\pi}{4}$", "$(1, 2)$", "$x^2-2x+1$", "$x=5$", r"\boxed{10^2}", r"$[0, \infty)$", r"$\{1, 2\}$")
"""Of answers; another form is learnt when it first comes."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Mathematical:
    r"""Right is what has the value of the reference answer: `0.5`, `1/2`, `\frac12` and `\boxed{\frac{1}{2}}` are one.

    The comparison is that of math-verify (https://github.com/huggingface/Math-Verify), the reference answer taken as LaTeX. Its own
    timeouts need signals and the main thread; they are off, because the pool's deadline stops what runs away.
    """

    name = "mathematical"
    version = f"math-verify {version('math-verify')}"

    def prepare(self) -> None:
        """Import math-verify, and fill its parser's tables with forms that answers have: a second that every new worker is spared."""
        for form in FORMS:
            _compare("x+5", form)

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE where there is no mathematics in the answer.

        Raises ValueError where there is none in the reference answer.
        """
        outcome = _compare(problem.answer, answer)
        if outcome is None:
            raise ValueError(f"the reference answer of problem {problem.id} is no mathematics to math-verify")
        return outcome


@lru_cache(maxsize=4096)
def _compare(reference: str, answer: str) -> Outcome | None:
    """The outcome; None where the reference cannot be read. Remembered, because samples of one problem often agree."""
    return compare_numerals(reference, answer) or _by_math_verify(reference, answer)


def _by_math_verify(reference: str, answer: str) -> Outcome | None:
    from math_verify import verify

    gold = _parse(reference if NUMERAL.fullmatch(reference) else f"${reference}$")
    if not gold:
        return None
    outcome = Outcome.UNPARSEABLE
    # An answer is a sentence that holds a formula (`It is $5$.`), or a formula without dollar signs (`(1, 2)`).
    for form in (answer,) if "$" in answer or NUMERAL.fullmatch(answer) else (answer, f"${answer}$"):
        if found := _parse(form):
            outcome = Outcome.WRONG
            if verify(gold, found, timeout_seconds=None, raise_on_error=True):
                return Outcome.CORRECT
    return outcome


@lru_cache(maxsize=4096)
def _parse(text: str) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=None, raise_on_error=True))
