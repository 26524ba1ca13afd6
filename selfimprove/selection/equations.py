"""Finds false equations of numbers in a text, a sign that a right answer was reached by luck."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

NUMBER = r"[-−]?\$?\d{1,30}(?:,\d{3}){0,9}(?:\.\d{1,30})?"
# Bounds keep the time linear in the length of the text. Longer equations are not checked.
EQUATION = re.compile(rf"(?<![\w.,)]) ?(?P<left>{NUMBER}(?: ?[-−+*×·/÷] ?{NUMBER}){{1,20}}) ?= ?(?P<right>{NUMBER})(?! ?[-−+*×·/÷^%!]|[\w()]|[.,]\d)")
PART = re.compile(rf"({NUMBER})(?: ?([-−+*×·/÷]))?")
BEFORE = re.compile(r"(?:^|[\n.,;:=>!?(]|[^\W\d_]{2})[ (]*$")
"""What may precede an equation. After `x -` or `2 ^` it would be part of a longer expression."""


def false_equations(text: str) -> Iterator[str]:
    """Every equation like `a + b = c` of plain numbers and the four operations whose sides differ.

    A right side with decimals may be rounded: `10 / 3 = 3.33` is true. Equations that divide by zero are skipped.
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
    """The value of a sum of products, evaluated from the left."""
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
