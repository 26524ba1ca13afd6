"""Evaluates the arithmetic of a text with exact fractions."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import factorial, floor

from selfimprove.selection.arithmetic_tokens import OPERAND_WORDS, PROSE, Token

CURRENCY = {"dollar": "$", "euro": "€", "pound": "£"}
LONGEST = 64
"""Maximum number of numbers of an expression."""
MOST_BITS = 1 << 13
"""Maximum size of a power."""


class Unreadable(Exception):
    """What stands there is no expression of plain numbers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How signs with two meanings are read."""

    base: int = 10
    percent: bool = False
    """Whether `%` divides by 100; otherwise it is a unit."""
    factorial: bool = True
    """Whether `!` is a factorial; otherwise it ends a sentence."""


@dataclass(frozen=True, slots=True)
class Side:
    """The value of one side of an equation."""

    value: Fraction
    operators: str
    """Its operators, in order."""
    first: Fraction
    """Its first number."""
    numbers: int
    decimals: int
    """Most decimals of its numbers."""
    slack: Fraction
    """Half a unit of the last decimal of its numbers, carried through the operations."""
    units: tuple[str, ...]
    end: int
    """Index of the token after it."""
    written_to: int
    """Where its last number or bracket ends in the text; units may follow."""


@dataclass(slots=True)
class Parser:
    """Evaluates expressions of the tokens by the usual precedence."""

    text: str
    tokens: list[Token]
    reading: Reading = Reading()
    at: int = 0
    depth: int = 0
    written_to: int = 0
    numbers: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)

    def side(self, begin: int) -> Side:
        """The longest expression that begins here. Raises Unreadable, or ZeroDivisionError."""
        self.at, self.depth, self.written_to = begin, 0, 0
        self.numbers, self.operators, self.units = [], [], []
        value, slack = self._sum()
        if not self.numbers:
            raise Unreadable
        decimals = max(len(number.partition(".")[2]) for number in self.numbers)
        return Side(
            value,
            "".join(self.operators),
            self._number(self.numbers[0]),
            len(self.numbers),
            decimals,
            slack,
            tuple(self.units),
            self.at,
            self.written_to,
        )

    def _peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "", len(self.text), len(self.text))

    def _next_operator(self, which: str) -> str | None:
        token = self._peek()
        if token.kind != "operator" or (token.text not in which and token.text not in which.split()):
            return None
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        if token.text == "-" and self.text[token.begin] == "–" and following and following.kind == "word":
            return None  # A dash between sentences.
        if token.text == "*" and (following is None or following.kind in ("end", "word", "equals", "close")):
            return None  # The end of an emphasis.
        self.at += 1
        self.operators.append(token.text)
        return token.text

    def _sum(self) -> tuple[Fraction, Fraction]:
        value, slack = self._product()
        while sign := self._next_operator("+-"):
            other, more = self._product()
            value, slack = value + other if sign == "+" else value - other, slack + more
        return value, slack

    def _product(self) -> tuple[Fraction, Fraction]:
        value, slack = self._signed()
        while True:
            token = self._peek()
            beside = token.kind == "open" and token.begin > 0 and self.text[token.begin - 1] in "0123456789)}"
            sign = "*" if beside and self.tokens[self.at - 1].kind in ("number", "close") else self._next_operator("* / // mod of")
            if not sign:
                return value, slack
            if beside:
                self.operators.append("*")
            other, more = self._signed()
            if sign == "*" or sign == "of":
                value, slack = value * other, abs(value) * more + abs(other) * slack
            elif sign == "/":
                value, slack = value / other, (slack + abs(value / other) * more) / abs(other)
            else:
                value, slack = (Fraction(floor(value / other)) if sign == "//" else value % other), Fraction(0)

    def _signed(self) -> tuple[Fraction, Fraction]:
        token = self._peek()
        if token.kind == "operator" and token.text in "+-":
            self.at += 1
            value, slack = self._power()
            return (-value if token.text == "-" else value), slack
        return self._power()

    def _power(self) -> tuple[Fraction, Fraction]:
        value, slack = self._operand()
        if not self._next_operator("^"):
            return value, slack
        exponent, _ = self._signed()
        if exponent.denominator != 1 or abs(exponent) * max(map(int.bit_length, value.as_integer_ratio())) > MOST_BITS:
            raise Unreadable
        return value**exponent.numerator, slack

    def _operand(self) -> tuple[Fraction, Fraction]:
        token = self._peek()
        self.at += 1
        self.written_to = max(self.written_to, token.end)
        if token.kind == "open" or token.kind == "fraction":
            value, slack = self._group(token)
        elif token.kind == "number":
            value, slack = self._written(token)
        else:
            raise Unreadable
        self.written_to = max(self.written_to, self.tokens[self.at - 1].end)
        return self._with_unit(value), slack

    def _group(self, token: Token) -> tuple[Fraction, Fraction]:
        self.depth += 1
        if self.depth > LONGEST // 2:
            raise Unreadable
        if token.kind == "fraction":
            above, below = self._operand()[0], self._operand()[0]
            self.operators.append("/")
            value, slack = above / below, Fraction(0)
        else:
            value, slack = self._sum()
            if self._peek().kind != "close":
                raise Unreadable
            self.at += 1
        self.depth -= 1
        return value, slack

    def _written(self, token: Token) -> tuple[Fraction, Fraction]:
        if len(self.numbers) == LONGEST:
            raise Unreadable
        written = token.text.lstrip("$€£")
        if written != token.text:
            self.units.append(token.text[0])
        self.numbers.append(written)
        value, decimals = self._number(written), len(written.partition(".")[2])
        mixed = self.tokens[self.at : self.at + 3]
        if [one.kind for one in mixed] == ["number", "operator", "number"] and mixed[1].text == "/" and written.isdecimal():
            self.at += 3
            self.operators.append("/")
            value += self._number(mixed[0].text) / self._number(mixed[2].text)
        return value, Fraction(1, 2 * 10**decimals) if decimals else Fraction(0)

    def _number(self, written: str) -> Fraction:
        plain = written.replace(",", "").lstrip("$€£")
        if self.reading.base == 10:
            return Fraction(plain)
        try:
            return Fraction(int(plain, self.reading.base))
        except ValueError:
            raise Unreadable from None

    def _with_unit(self, value: Fraction) -> Fraction:
        words: list[str] = []
        while (token := self._peek()).kind in ("unit", "word"):
            if token.kind == "word":
                if token.text.casefold() in OPERAND_WORDS or token.text.endswith(("n't", "n’t")):
                    raise Unreadable
                if token.text.casefold() in PROSE or len(words) == 4:
                    break
                words.append(token.text)
            elif token.text == "!":
                if self.reading.factorial:
                    if value.denominator != 1 or not 0 <= value <= LONGEST:
                        raise Unreadable
                    value = Fraction(factorial(value.numerator))
                    self.operators.append("!")
            elif token.text in "²³":
                self.operators.append("^")
                value **= 2 if token.text == "²" else 3
            elif "%" in token.text:
                value = value / 100 if self.reading.percent else value
            self.at += 1
        if words:
            self.units.append(_singular(words[-1]))
        return value


def _singular(word: str) -> str:
    folded = word.casefold() if len(word) > 1 else word
    short = folded[:-1] if folded.endswith("s") and len(folded) > 3 else folded
    return CURRENCY.get(short, short)
