"""Refuses a class where an object is wanted, which a protocol alone does not."""

from __future__ import annotations

from typing import Any


def no_class(value: Any) -> Any:
    """The value. Raises ValueError if it is a class."""
    if isinstance(value, type):
        raise ValueError(f"{value.__name__} is a class, not an object: write {value.__name__}()")
    return value
