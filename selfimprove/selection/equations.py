"""Finds equations of numbers in a text that are false: signs of a right answer that was reached by luck."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

NUMBER = r"[-−]?\$?\d{1,30}(?:,\d{3}){0,9}(?:\.\d{1,30})?"
# Bounds keep the time linear in the length of the text; an equation that is longer is not looked at.
EQUATION = re.compile(rf"(?<![\w.,)]) ?(?P<left>{NUMBER}(?: ?[-−+*×·/÷] ?{NUMBER}){{1,20}}) ?= ?(?P<right>{NUMBER})(?! ?[-−+*×·/÷^%!]|[\w()]|[.,]\d)")
PART = re.compile(rf"({NUMBER})(?: ?([-−+*×·/÷]))?")
BEFORE = re.compile(r"(?:^|[\n.,;:=>!?(]|[^\W\d_]{2})[ (]*$")
"""What an equation may follow; after `x -` or `2 ^` it is a part of something longer."""


def false_equations(text: str) -> Iterator[str]:
    """Every `a + b = c` of plain numbers, with any of the four operations, where the two sides differ.

    A right side with decimals may be rounded: `10 / 3 = 3.33` holds. What is divided by zero holds nothing and is not told.
    """
    for found in EQUATION.finditer(text):
        if BEFORE.search(text, max(0, found.start("left") - 8), found.start("left")):
            try:
                value, stated = _value(found["left"]), _number(found["right"])
            except ZeroDivisionError:
                continue
            decimals = len(found["right"].partition(".")[2])
            if abs(value - stated) > (Fraction(1, 2 * 10**decimals) if decimals else 0):
                yield found[0].strip()


def _value(expression: str) -> Fraction:
    """Products and quotients first, each from the left."""
    terms, sign, operation = [Fraction(0)], 1, "+"
    for number, following in PART.findall(expression):
        value = _number(number)
        if operation in "*×·":
            terms[-1] *= value
        elif operation in "/÷":
            terms[-1] /= value
        else:
            sign = -1 if operation in "-−" else 1
            terms.append(sign * value)
        operation = following or "+"
    return sum(terms, Fraction(0))


def _number(text: str) -> Fraction:
    return Fraction(text.replace("−", "-").replace("$", "").replace(",", ""))
