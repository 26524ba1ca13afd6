"""Compares plain numbers and fractions by value in cases where math-verify is known to agree but takes a hundred times as long."""

from __future__ import annotations

import re
from fractions import Fraction

from selfimprove.records import Outcome

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,299})")
SHORT = re.compile(r"-?(?:0|[1-9][0-9]{0,5})(?P<places>\.[0-9]{1,5})?")
"""A whole or decimal number. math-verify rounds to six places, which leaves these unchanged."""
FRACTION = re.compile(r"(?P<sign>-?)(?:\\frac\{(?P<a>[1-9][0-9]{0,5})\}\{(?P<b>[1-9][0-9]{0,5})\}|(?P<c>[1-9][0-9]{0,5})/(?P<d>[1-9][0-9]{0,5}))")
r"""`a/b` or `\frac{a}{b}`, short enough that two different ones differ within the fifteen digits that math-verify compares."""
WRAPPED = re.compile(r"\$ ?(?P<dollars>[^$\s]+) ?\$|\\boxed\{(?P<box>[^$\s]+)\}")
r"""An answer that is only a formula: `$…$`, `\boxed{…}` or both."""


def compare_numerals(reference: str, answer: str) -> Outcome | None:
    r"""CORRECT or WRONG if both are plain numbers or fractions; None if comparing them takes math-verify, as for a fraction and a decimal number.

    The answer may be in dollar signs or in `\boxed{…}`.
    """
    while wrapped := WRAPPED.fullmatch(answer):
        answer = wrapped["dollars"] or wrapped["box"]
    if INTEGER.fullmatch(reference) and INTEGER.fullmatch(answer):
        return _outcome(int(reference) == int(answer))
    wanted, found = _short(reference), _short(answer)
    if wanted and found and not (wanted[1] and found[2]) and not (wanted[2] and found[1]):
        return _outcome(wanted[0] == found[0])
    return None


def _short(text: str) -> tuple[Fraction, bool, bool] | None:
    """The value, whether it is written with a decimal point, and whether as a fraction; None for anything else."""
    if number := SHORT.fullmatch(text):
        return Fraction(text), number["places"] is not None, False
    if parts := FRACTION.fullmatch(text):
        value = Fraction(int(parts["a"] or parts["c"]), int(parts["b"] or parts["d"]))
        return -value if parts["sign"] else value, False, True
    return None


def _outcome(equal: bool) -> Outcome:
    return Outcome.CORRECT if equal else Outcome.WRONG
