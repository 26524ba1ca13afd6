"""Numbers as settings take them: finite, and neither text nor true or false, which pydantic would otherwise convert."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AllowInfNan, Field, Strict

MOST_DIGITS = 300
"""Larger whole numbers fit no float, and Python does not write those of more than 4,300 digits."""


def _of_sane_size(value: int) -> int:
    if abs(value) >= 10**MOST_DIGITS:
        raise ValueError(f"a whole number must have at most {MOST_DIGITS} digits")
    return value


Int: TypeAlias = Annotated[int, Strict(), AfterValidator(_of_sane_size)]
Float: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
"""Takes whole numbers too."""
PositiveInt: TypeAlias = Annotated[Int, Field(gt=0)]
NonNegativeInt: TypeAlias = Annotated[Int, Field(ge=0)]
PositiveFloat: TypeAlias = Annotated[Float, Field(gt=0)]
NonNegativeFloat: TypeAlias = Annotated[Float, Field(ge=0)]
