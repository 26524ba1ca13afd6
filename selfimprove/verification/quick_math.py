"""Makes math-verify several times as fast without changing a verdict: shorter ways to what the long ones find."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

APART = 1e-6
"""A difference that is larger than this at some point is no rounding error."""
POINT, STEP = 0.7390851, 0.6180339
"""Symbols are given these values, one after the other: far from where formulas of schoolbooks vanish."""
WHOLE, DECIMAL = re.compile(r"[1-9][0-9]{0,99}"), re.compile(r"[1-9][0-9]{0,9}\.[0-9]{1,9}")


@cache
def hasten() -> None:
    """Put the short ways into the libraries, in this process; they are for the versions that are pinned."""
    from latex2sympy2_extended import latex2sympy2
    from math_verify import grader

    latex2sympy2.PSParser = _two_stages(latex2sympy2.PSParser)
    converter = latex2sympy2._Latex2Sympy
    converter.parse_number = _numbers(converter.parse_number)
    thorough = grader.sympy_symbolic_eq

    def equal(a: Any, b: Any) -> bool:
        told = plainly(a, b)
        return bool(thorough(a, b)) if told is None else told

    grader.sympy_symbolic_eq = equal


def _numbers(parse: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Plain numbers made at once: sympy evaluates a Python expression for each, with all of its names imported."""
    from sympy import Float, Integer

    def parse_number(self: Any, text: str) -> Any:
        if WHOLE.fullmatch(text):
            return Integer(int(text))
        return Float(text) if DECIMAL.fullmatch(text) else parse(self, text)

    return parse_number


def _two_stages(parser: Any) -> Any:
    """The parser, which first decides without the context of its rules (SLL), as its tables then hold every decision.

    What that accepts is the tree that the full decision (LL) gives: an alternative that the context rules out ends in a syntax error, and only then
    is the text parsed again in full. Parr, Harwell and Fisher 2014, "Adaptive LL(*) Parsing"; two-stage parsing in ANTLR's own documentation.
    """
    from antlr4.atn.ParserATNSimulator import ParserATNSimulator
    from antlr4.atn.PredictionMode import PredictionMode
    from antlr4.dfa.DFA import DFA
    from antlr4.PredictionContext import PredictionContextCache

    # Of its own: what the first stage learns must not decide in the second.
    tables, contexts = [DFA(state, number) for number, state in enumerate(parser.atn.decisionToState)], PredictionContextCache()

    class TwoStages(parser):  # type: ignore[misc]
        _interp: Any

        def math(self) -> Any:
            full = self._interp
            self._interp = ParserATNSimulator(self, self.atn, tables, contexts)
            self._interp.predictionMode = PredictionMode.SLL
            try:
                return super().math()
            except Exception:  # Its listener raises nothing else.
                self.reset()
                self._interp = full
                return super().math()

    return TwoStages


def plainly(a: Any, b: Any) -> bool | None:
    """Whether two formulas are equal, where that shows: their difference cancels out, or is more than rounding at a point. None: simplify it.

    Only for sums, products and powers of numbers and of symbols that stand for any real number: what is equal for whole numbers alone need not be at
    the point, and an integral may take for ever.
    """
    from sympy import Expr, Float, preorder_traversal

    if not (isinstance(a, Expr) and isinstance(b, Expr)):
        return None
    parts = [part for side in (a, b) for part in preorder_traversal(side)]
    symbols = sorted({part for part in parts if part.is_Symbol}, key=str)
    if not all(part.is_Add or part.is_Mul or part.is_Pow or part.is_Number or part.is_NumberSymbol or part.is_Symbol for part in parts):
        return None
    if any(symbol.is_integer is not None or symbol.is_positive is not None for symbol in symbols):
        return None
    point = {symbol: Float(POINT + place * STEP) for place, symbol in enumerate(symbols)}
    try:
        left, right = (side.evalf(15, subs=point) for side in (a, b))
        if all(value.is_Float and value.is_finite for value in (left, right)) and abs(left - right) > APART * (1 + max(abs(left), abs(right))):
            return False
        return True if (a - b).doit() == 0 else None
    except Exception:  # sympy raises whatever it likes; it is then simplified.
        return None
