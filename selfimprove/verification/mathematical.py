"""Verifies an answer by its mathematical value, with math-verify."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification.numerals import compare_numerals

NUMERAL = re.compile(r"[+-]?[\d.,]+")
"""A number that means the same as text and as LaTeX; math-verify parses it three times as fast as text."""

FORMS = (r"$\frac{1}{2}$", r"$2\sqrt{3}$", r"$\frac{3\pi}{4}$", "$(1, 2)$", "$x^2-2x+1$", "$x=5$", r"\boxed{10^2}", r"$[0, \infty)$", r"$\{1, 2\}$")
"""Forms of answers to parse in advance. The parser learns any other form on its first appearance."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Mathematical(Verifier):
    r"""Accepts an answer with the value of the reference answer: `0.5`, `1/2`, `\frac12` and `\boxed{\frac{1}{2}}` are equal.

    math-verify compares (https://github.com/huggingface/Math-Verify) and reads the reference answer as LaTeX. Its own timeouts are off, because they
    need signals and the main thread; the pool's deadline stops a comparison that takes too long.
    """

    name = "mathematical"
    version = f"math-verify {version('math-verify')}"

    def prepare(self) -> None:
        """Import math-verify and fill its parser's tables with common forms of answers, which saves every new worker a second."""
        for form in FORMS:
            _compare("x+5", form)

    def verify(self, problem: Problem, answer: str) -> Outcome:
        """CORRECT, WRONG, or UNPARSEABLE if the answer has no mathematics in it. Raises ValueError if the reference answer has none."""
        outcome = _compare(problem.answer, answer)
        if outcome is None:
            raise ValueError(f"the reference answer of problem {problem.id} cannot be read as mathematics; use another verifier")
        return outcome


@lru_cache(maxsize=4096)
def _compare(reference: str, answer: str) -> Outcome | None:
    """The outcome; None if the reference cannot be read. Cached, because samples of one problem often agree."""
    return compare_numerals(reference, answer) or _by_math_verify(reference, answer)


def _by_math_verify(reference: str, answer: str) -> Outcome | None:
    from math_verify import verify

    gold = _parse(reference if NUMERAL.fullmatch(reference) else f"${reference}$")
    if not gold:
        return None
    outcome = Outcome.UNPARSEABLE
    # An answer is a sentence with a formula in it (`It is $5$.`), or a formula without dollar signs (`(1, 2)`).
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
