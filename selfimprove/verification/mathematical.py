"""Verifies an answer by its mathematical value, with math-verify."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.protocols import Verifier
from selfimprove.records import Outcome, Problem
from selfimprove.verification.formulas import as_latex
from selfimprove.verification.numerals import compare_numerals
from selfimprove.verification.readings import approximated, differ_in_form, is_ambiguous, is_sentence, is_undecided, plain

NUMERAL = re.compile(r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?|[+-]?\.[0-9]+")
"""One number, which means the same as text and as LaTeX; math-verify parses it three times as fast as text."""

PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*\\?%\s*")

FORMS = (r"$\frac{1}{2}$", r"$2\sqrt{3}$", r"$\frac{3\pi}{4}$", "$(1, 2)$", "$x^2-2x+1$", "$x=5$", r"\boxed{10^2}", r"$[0, \infty)$", r"$\{1, 2\}$")
"""Forms of answers to parse in advance. The parser learns any other form on its first appearance."""


@dataclass(frozen=True, config={"extra": "forbid"})
class Mathematical(Verifier):
    r"""Accepts an answer with the value of the reference answer: `0.5`, `1/2`, `\frac12` and `\boxed{\frac{1}{2}}` are equal.

    math-verify compares (https://github.com/huggingface/Math-Verify) and reads the reference answer as LaTeX. Its own timeouts are off, because they
    need signals and the main thread; the pool's deadline stops a comparison that takes too long.
    """

    name = "mathematical"
    version = f"math-verify {version('math-verify')}+1"

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
    if share := PERCENT.fullmatch(reference):
        # 50 % is 50, and a half.
        if differ_in_form(reference, _formula(_written(answer))):
            return Outcome.WRONG
        forms = (share[1], rf"\frac{{{share[1]}}}{{100}}")
        return max((_by_math_verify(form, answer) for form in forms), key=lambda outcome: outcome is Outcome.CORRECT)
    gold = _parse(_written(reference) if NUMERAL.fullmatch(reference) else f"${_written(reference).strip('$')}$")
    if not gold:
        return None
    written = _written(answer)
    if is_sentence(written) and "$" not in written and "boxed" not in written and is_undecided(written):
        return Outcome.WRONG
    found = _reading(written)
    if not found:
        return Outcome.UNPARSEABLE
    formula = found[-1] if isinstance(found[-1], str) else written
    if is_ambiguous(formula, _written(reference)) or is_ambiguous(_formula(written), _written(reference)):
        return Outcome.WRONG
    if differ_in_form(_written(reference), _formula(written)):
        return Outcome.WRONG
    return Outcome.CORRECT if _equal(gold, found) else Outcome.WRONG


def _reading(text: str) -> list[Any]:
    """What an answer says: a formula, a sentence with a formula in it (`It is $5$.`), or a sentence that ends with one (`It is 5.`)."""
    sides = approximated(text)
    if len(sides) > 1 and not is_sentence(text):
        exact, rough = (_parse(f"${side.strip('$ ')}$") for side in sides[:2])
        # `x \approx 1.41` gives a value to a name; `\sqrt{2} \approx 1.41` one to a number.
        if not exact or not rough:
            return []
        return rough if re.fullmatch(r"\s*[a-zA-Z]\s*", sides[0].strip("$ ")) else exact if _near(exact[0], rough[0], 0.05) else []
    if ("$" in text or NUMERAL.fullmatch(text) or is_sentence(text)) and (found := _parse(text)):
        return found
    return _parse(text if "$" in text else f"${text}$")


def _equal(gold: list[Any], found: list[Any]) -> bool:
    from math_verify import verify
    from sympy import Expr, Set  # type: ignore[import-untyped]
    from sympy.logic.boolalg import Boolean  # type: ignore[import-untyped]

    wanted, value = gold[0], found[0]
    if isinstance(wanted, Set) and isinstance(value, Boolean):
        return bool(_as_interval(value) == wanted)
    if verify(gold, found, timeout_seconds=None, raise_on_error=True):
        # math-verify compares rounded values, to which all small numbers are equal.
        return not (isinstance(wanted, Expr) and isinstance(value, Expr)) or _near(wanted, value, 1e-4)
    # An equation's value may be a set, which is no part of a formula.
    with contextlib.suppress(TypeError, AttributeError):
        return isinstance(wanted, Expr) and isinstance(value, Expr) and bool(_rational(wanted) == _rational(value))
    return False


def _as_interval(condition: Any) -> Any:
    """The interval (0, 1) for `0 < x < 1`; None if sympy cannot tell."""
    with contextlib.suppress(NotImplementedError, TypeError, ValueError):
        return condition.as_set()
    return None


def _near(wanted: Any, found: Any, share: float) -> bool:
    """Whether two numbers differ by this share at most. True for what is not a number."""
    if getattr(wanted, "free_symbols", True) or getattr(found, "free_symbols", True) or not (wanted.is_number and found.is_number):
        return True
    wanted, found = wanted.doit().evalf(20), found.doit().evalf(20)
    if not (wanted.is_finite and found.is_finite):
        return bool(wanted == found)
    return bool(abs(wanted - found) <= share * max(abs(wanted), abs(found)))


def _rational(formula: Any) -> Any:
    """The formula with decimal numbers as fractions and names without assumptions, put together again: the parser leaves `-1 * 1.0` as written."""
    from sympy import Float, Rational, Symbol, UnevaluatedExpr, bottom_up

    def rebuilt(part: Any) -> Any:
        if isinstance(part, Float):
            return Rational(str(part))
        if isinstance(part, UnevaluatedExpr):
            return part.args[0]
        return Symbol(part.name) if isinstance(part, Symbol) else part.func(*part.args) if part.args else part

    return bottom_up(formula, rebuilt, atoms=True).expand()


def _formula(text: str) -> str:
    r"""What stands in the only `\boxed{…}` or `$…$` of a text, or the text."""
    inside = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", text) or re.findall(r"\$([^$]+)\$", text)
    return str(inside[0]) if len(inside) == 1 else text


@lru_cache(maxsize=4096)
def _written(text: str) -> str:
    return plain(as_latex(text))


@lru_cache(maxsize=4096)
def _parse(text: str) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=None, raise_on_error=True))
