"""Finds false equations of numbers in a text, a sign that a right answer was reached by luck."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from selfimprove.selection.arithmetic import LONGEST, Parser, Reading, Side, Unreadable
from selfimprove.selection.arithmetic_tokens import OPERAND_WORDS, PROSE, Token, tokens_of

BASES = re.compile(r"\b(?:base[- ](\d{1,2})|(binary)|(octal)|(hexadecimal|hex))\b", re.IGNORECASE)
MODULI = re.compile(r"(?:\(\s*|=\s*-?\d+ |\\p|^|[^\d\s)] )mod(?:ulo)?[ {]*(\d{1,9})", re.IGNORECASE)
CLOCK = re.compile(r"clock\b|\b[ap]\.?m\b", re.IGNORECASE)
REMAINDER = re.compile(
    r"[\s,(]*(?:(?:with|and)\s+)?(?:a\s+)?(?:remainder|rem\.?|r)\s*(?:of|is|=|:)?\s*(\d{1,30})\b|[\s,(]*(?:with|and)\s+(\d{1,30})\s+(?:\w+\s+)?(?:left|remaining|over)",
    re.IGNORECASE,
)
CUES_BEFORE = re.compile(
    r"\b(?:if|whether|suppose|assum\w+|not|unless|why|could|would|cannot|false|wrong|isn't|than|twice|double|triple|half|by|from|negative|roughly"
    r"|approximately|about|(?:half|third|quarter|square|cube|root|percent|factorial) of)\W*(?:(?:(?:true |right |the case )?that|the|we|have)\W+)?$",
    re.IGNORECASE,
)
"""Words before an equation that it is not stated after, or that take part in it."""
CUES_AFTER = re.compile(
    r"^(?:\W*[\w']+){0,4}?\W*\b(?:wrong|incorrect|false|impossible|untrue|contradiction|absurd|mistake|isn't|can't|cannot|would|is not"
    r"|round\w*|approx\w*|about|roughly|nearly|floor\w*|integer|quotient|whole|full|complete|remainder|left|leftover|over|half|quarter|third|o'clock|[ap]\.?m)\b",
    re.IGNORECASE,
)
"""Words after an equation that deny it, or that make its right side a rounded one."""
CLAUSE = re.compile(r"[^.!?\n;]*(?:\.\d[^.!?\n;]*)*")


def false_equations(text: str) -> Iterator[str]:
    """Every equation of plain numbers whose sides differ, such as `2 \\times 3 = 7`, `2 + 2 = **5**` or the second one of `2 + 2 = 4 = 5`.

    Read are `+ - * / //`, powers, fractions, brackets, `mod`, percentages and units. What is not read, is not found: variables, functions, and sides
    with different units.

    These count as true: a right side with decimals that is rounded (`10 / 3 = 3.33`), a running total (`2 + 3 = 5 + 4 = 9`), a quotient with its
    remainder, equality to a modulus, in a base that the text names or on a clock, a question, and an equation that is supposed or denied. Equations
    that divide by zero are skipped.
    """
    tokens = tokens_of(text)
    bases = {_base(found) for found in BASES.finditer(text)} - {10}
    signs = ((False, True), (True, True), (False, False)) if "%" in text or "!" in text else ((False, True),)
    others = [Reading(base, percent, factorial) for base in (10, *sorted(bases)) for percent, factorial in signs][1:]
    plain, chained = Parser(text, tokens), -1
    for at, token in enumerate(tokens):
        if token.kind != "equals":
            continue
        try:
            right = plain.side(at + 1)
        except (Unreadable, ZeroDivisionError):
            continue
        begin, follows, chained = _begin(text, tokens, at), chained == at, right.end if right.operators else -1
        if begin is not None and tokens[begin].text in ("*", "^"):
            begin += 1  # An emphasis.
        equation = _Equation(text, tokens, begin or 0, at)
        try:
            left = None if begin is None else equation.left(plain)
        except (Unreadable, ZeroDivisionError):
            left = None
        rest = REMAINDER.match(text, right.written_to, right.written_to + 80)
        if left is None or not (rest or (_ends(tokens, right.end) and _comparable(left, right))):
            continue
        if follows or left.operators or right.operators:
            chained = right.end
            if not (equation.equal(left, right) or _supposed(text, tokens[equation.begin].begin, right) or equation.holds(right, others)):
                yield text[tokens[equation.begin].begin : tokens[right.end - 1].end].strip()


def last_value(text: str) -> str | None:
    """The right side of the last equation, as written: `-5` for `7 - 12 = -5.`; None without an equation, or if its right side is not one number."""
    tokens = tokens_of(text)
    for at in (at for at in range(len(tokens) - 2, -1, -1) if tokens[at].kind == "equals"):
        with suppress(Unreadable, ZeroDivisionError):
            right = Parser(text, tokens).side(at + 1)
            return None if right.numbers > 1 else text[tokens[at + 1].begin : right.written_to]
    return None


def _base(found: re.Match[str]) -> int:
    base = int(found[1]) if found[1] else 2 if found[2] else 8 if found[3] else 16
    return base if 2 <= base <= 36 else 10


def _begin(text: str, tokens: list[Token], equals: int) -> int | None:
    """The index of the first token of the expression that ends before the equals sign; None if there is none."""
    depth = 0
    for at in range(equals - 1, max(-1, equals - 4 * LONGEST), -1):
        token, following = tokens[at], tokens[at + 1]
        if token.kind == "odd":
            return None
        if token.kind in ("end", "mark", "equals") or (token.text == "!" and following.kind in ("number", "open")):
            return at + 1 if depth == 0 and at + 1 < equals else None
        if token.kind == "close":
            depth += 1
        elif token.kind == "open":
            depth -= 1
            if depth < 0:
                before = tokens[at - 1].kind if at else "end"
                return None if before in ("number", "operator", "close", "fraction") or at + 1 == equals else at + 1
        elif token.kind == "word" and not (
            at and tokens[at - 1].kind in ("number", "close", "word", "unit") and following.kind not in ("number", "open")
        ):
            return _after_word(text, token, following, at + 1 if depth == 0 else None)
        elif token.kind == "word" and token.text.casefold() in PROSE:
            return None
    return 0 if equals and equals < 4 * LONGEST and depth == 0 else None


def _after_word(text: str, word: Token, following: Token, begin: int | None) -> int | None:
    """Where an expression begins that this word stands before; None if the word is a variable of it."""
    if (len(word.text) == 1 and word.text not in "aI") or word.text.casefold() in OPERAND_WORDS:
        return None
    signed = following.kind == "operator" and following.text == "-" and not text[following.end : following.end + 1].isspace()
    starts = following.kind in ("number", "open", "fraction") or (signed and text[word.end : following.begin].isspace())
    return begin if starts else None


def _ends(tokens: list[Token], at: int) -> bool:
    """Whether what stands here cannot continue the expression before it."""
    return at >= len(tokens) or tokens[at].kind not in ("odd", "number", "fraction")


def _supposed(text: str, begin: int, right: Side) -> bool:
    """Whether the equation is asked, supposed, denied or rounded by the words around it."""
    sentence = re.split(r"[.,;:!?\n]", text[max(0, begin - 40) : begin])[-1]
    clause = CLAUSE.match(text, right.written_to, right.written_to + 200)
    after = clause[0] if clause else ""
    asked = text[right.written_to + len(after) : right.written_to + len(after) + 1] == "?"
    return asked or bool(CUES_BEFORE.search(sentence) or (CUES_AFTER.search(after) and not REMAINDER.match(after)))


@dataclass(frozen=True, slots=True)
class _Equation:
    text: str
    tokens: list[Token]
    begin: int
    equals: int

    def left(self, parser: Parser) -> Side:
        """The left side. Raises Unreadable if it does not end at the equals sign."""
        side = parser.side(self.begin)
        if side.end != self.equals:
            raise Unreadable
        return side

    def holds(self, right: Side, readings: Iterable[Reading]) -> bool:
        """Whether the sides are equal in one of these readings, or without the dash of a list before them: `- 2 + 2 = 4`."""
        if self._bullet() and self.equal(Parser(self.text, self.tokens).side(self.begin + 1), right):
            return True
        for reading in readings:
            parser = Parser(self.text, self.tokens, reading)
            with suppress(Unreadable, ZeroDivisionError):
                if self.equal(self.left(parser), parser.side(self.equals + 1)):
                    return True
        return False

    def _bullet(self) -> bool:
        first = self.tokens[self.begin]
        line = self.text.rfind("\n", 0, first.begin) + 1
        return first.text == "-" and self.text[first.end : first.end + 1] == " " and not self.text[line : first.begin].strip()

    def equal(self, left: Side, right: Side) -> bool:
        """Whether the sides are equal, up to rounding, a remainder or a modulus, or the right one continues a running total."""
        if found := REMAINDER.match(self.text, right.written_to, right.written_to + 80):
            divisor = left.first / left.value if left.operators == "/" and left.value else Fraction(0)
            return divisor == 0 or (left.first == right.value * divisor + int(found[1] or found[2]) and int(found[1] or found[2]) < abs(divisor))
        difference = abs(left.value - right.value)
        if difference <= self._rounding(left, right) or (left.operators and right.operators and left.value == right.first):
            return True
        return difference.denominator == 1 and any(difference % modulus == 0 for modulus in self._moduli(right.written_to))

    def _rounding(self, left: Side, right: Side) -> Fraction:
        if not right.operators:
            dots = self.text[right.written_to : right.written_to + 3] == "..." or self.text[right.written_to : right.written_to + 1] == "…"
            return right.slack * (2 if dots else 1)
        if not left.operators:
            return left.slack
        # What has all its decimals was not rounded.
        return Fraction(0) if 10**right.decimals % left.value.denominator == 0 else right.slack

    def _moduli(self, end: int) -> set[int]:
        begin = self.text.rfind("\n", max(0, end - 400), end) + 1 or max(0, end - 400)
        stop = self.text.find("\n", end, end + 200)
        line = self.text[begin : stop if stop >= 0 else end + 200]
        return {int(found[1]) for found in MODULI.finditer(line) if int(found[1])} | ({12, 24} if CLOCK.search(line) else set())


def _comparable(left: Side, right: Side) -> bool:
    units = {*left.units, *right.units}
    if right.operators and not left.operators and not right.units and units - {"$", "€", "£"}:
        return False  # `2 hours = 2 * 60` goes on in another unit.
    if any(len(unit) == 1 and unit not in "$€£" for unit in units):
        # `2x + 3 = 7` is no sum of units: a letter is one if it stands at every number, and nothing is multiplied.
        multiplied = set(left.operators + right.operators) - set("+-")
        return len(units) == 1 and not multiplied and len(left.units) == left.numbers and len(right.units) == right.numbers
    return len(units) <= 1 or (not set(left.operators) - {"*"} and set(right.units) <= set(left.units) and not right.operators)
