"""Sums of two numbers of n digits each, with the scratchpad that works them out (Nye et al. 2021; STaR's first task, Zelikman et al. 2022)."""

from __future__ import annotations

import random
import string
import sys
from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from selfimprove.records import Problem
from selfimprove.records.numbers import Int, PositiveInt

LETTERS = string.ascii_lowercase


@dataclass(frozen=True, config={"extra": "forbid"})
class Addition:
    """Sums such as `38 + 47 =` of two numbers with the same number of digits, which the metadata holds as `digits`."""

    digits: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 3, 4)
    size: PositiveInt = 200
    """Number of problems for each number of digits; at most 81 for one digit."""
    seed: Int = 1
    index_hints: bool = False
    """Whether numbers are written from their lowest digit on, each digit after a letter for its place: `k8l3 + k7l4 =` and `K5L8` for 38 + 47. Digits
    of the same place are then found by their letter (Zhou et al. 2023, arXiv:2310.16028), and each digit of the sum follows from those before it (Lee
    et al. 2023, arXiv:2307.03381). The first letter is drawn for each problem, so that short sums show them all."""

    @model_validator(mode="after")
    def _has_letters(self) -> Addition:
        if self.index_hints and max(self.digits) > len(LETTERS):
            raise ValueError(f"index_hints has {len(LETTERS)} letters: digits can be at most {len(LETTERS)}")
        return self

    def load(self) -> list[Problem]:
        """Distinct problems, fewer digits first."""
        return [self._problem(digits, number, left, right) for digits in self.digits for number, (left, right) in enumerate(self._pairs(digits))]

    def _problem(self, digits: int, number: int, left: int, right: int) -> Problem:
        numbers = str(left), str(right), str(left + right)
        if self.index_hints:
            first = random.Random(f"{self.seed}/{digits}/{number}").randrange(len(LETTERS) - digits + 1)
            letters = LETTERS[first : first + digits]
            numbers = hinted(letters, left), hinted(letters, right), hinted(letters.upper(), left + right)
        written, other, total = numbers
        return Problem(f"add-{digits}-{number}", question(written, other), total, "addition", {"digits": digits})

    def _pairs(self, digits: int) -> list[tuple[int, int]]:
        low, count = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
        source = random.Random(f"{self.seed}/{digits}")
        if count**2 <= sys.maxsize:
            drawn = source.sample(range(count**2), min(self.size, count**2))
        else:
            # A range that long is too much for `sample`.
            different: dict[int, None] = {}
            while len(different) < self.size:
                different[source.randrange(count**2)] = None
            drawn = list(different)
        return [(low + place // count, low + place % count) for place in drawn]


def hinted(letters: str, number: int) -> str:
    """The digits from the lowest on, each after its letter; a carry beyond the last letter has none: `k5l41` for 145."""
    digits = str(number)[::-1]
    return "".join(map("".join, zip(letters, digits, strict=False))) + digits[len(letters) :]


def question(left: int | str, right: int | str) -> str:
    """The question for a sum."""
    return f"{left} + {right} ="


def scratchpad(left: int, right: int) -> str:
    """Column by column from the right, a line each: `5 + 7 = 12, carry 1.` and then `2 + 3 + 1 = 6.`"""
    lines, carry = [], 0
    for upper, lower in zip(reversed(str(left)), reversed(str(right)), strict=True):
        total = int(upper) + int(lower) + carry
        lines.append(f"{upper} + {lower}{' + 1' if carry else ''} = {total}{', carry 1' if total > 9 else ''}.")
        carry = total // 10
    return "\n".join(lines)
