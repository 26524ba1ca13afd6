"""What is around a block of thinking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config={"extra": "forbid"})
class Delimiters:
    """The two strings around a block of thinking, each of one token or of several."""

    begin: Annotated[str, Field(min_length=1)] = "<think>"
    """What opens the thinking."""
    end: Annotated[str, Field(min_length=1)] = "</think>"
    """What closes it; the answer follows."""


THINK = Delimiters()
