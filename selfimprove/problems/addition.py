"""Sums of two numbers of n digits each, with the scratchpad that works them out (Nye et al. 2021; STaR's first task, Zelikman et al. 2022)."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records import Problem
from selfimprove.records.numbers import Int, PositiveInt


@dataclass(frozen=True, config={"extra": "forbid"})
class Addition:
    """Sums such as `38 + 47 =` of two numbers with the same number of digits, which the metadata holds as `digits`."""

    digits: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 3, 4)
    size: PositiveInt = 200
    """Number of problems for each number of digits; at most 81 for one digit."""
    seed: Int = 1
    lowest_first: bool = False
    """Whether numbers are written from their lowest digit on, in question and answer: `83 + 74 =` and `58` for 38 + 47. Each digit of the sum then
    follows from those already read (Lee et al. 2023, arXiv:2307.03381)."""

    def load(self) -> list[Problem]:
        """Distinct problems, fewer digits first."""
        return [self._problem(digits, number, left, right) for digits in self.digits for number, (left, right) in enumerate(self._pairs(digits))]

    def _problem(self, digits: int, number: int, left: int, right: int) -> Problem:
        written, other, total = (str(one)[::-1] if self.lowest_first else str(one) for one in (left, right, left + right))
        return Problem(f"add-{digits}-{number}", question(written, other), total, "addition", {"digits": digits})

    def _pairs(self, digits: int) -> list[tuple[int, int]]:
        low, count = 10 ** (digits - 1), 9 * 10 ** (digits - 1)
        drawn = random.Random(f"{self.seed}/{digits}").sample(range(count**2), min(self.size, count**2))
        return [(low + place // count, low + place % count) for place in drawn]


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
