"""Delimiters around a block of thinking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config={"extra": "forbid"})
class Delimiters:
    """The strings around a block of thinking; each may be one token or several."""

    begin: Annotated[str, Field(min_length=1)] = "<think>"
    """Opens the thinking."""
    end: Annotated[str, Field(min_length=1)] = "</think>"
    """Closes the thinking; the answer follows."""


THINK = Delimiters()
