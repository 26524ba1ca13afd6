"""Numbers as settings take them: finite, and neither text nor true or false, which pydantic would otherwise convert."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AllowInfNan, Field, Strict

MOST_DIGITS = 50
"""Python does not write whole numbers of more than 4,300 digits, and products of far shorter ones fit no float."""
LARGEST_COUNT = 10**12
"""The product of two counts that are used together still fits 64 bits."""


def _of_sane_size(value: int) -> int:
    if abs(value) >= 10**MOST_DIGITS:
        raise ValueError(f"a whole number must have at most {MOST_DIGITS} digits")
    return value


def _a_count(value: int) -> int:
    if value > LARGEST_COUNT:
        raise ValueError(f"the number must be at most {LARGEST_COUNT:,}")
    return value


Int: TypeAlias = Annotated[int, Strict(), AfterValidator(_of_sane_size)]
Float: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
"""Takes whole numbers too."""
PositiveInt: TypeAlias = Annotated[Int, Field(gt=0), AfterValidator(_a_count)]
NonNegativeInt: TypeAlias = Annotated[Int, Field(ge=0), AfterValidator(_a_count)]
PositiveFloat: TypeAlias = Annotated[Float, Field(gt=0)]
NonNegativeFloat: TypeAlias = Annotated[Float, Field(ge=0)]
