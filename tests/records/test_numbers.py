"""Every number among the settings of every public part refuses what is not one."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pydantic
import pytest

import selfimprove

NO_NUMBERS = (True, False, "3", math.inf, -math.inf, math.nan, 10**5000, None)


def _takes(hint: Any) -> set[Any]:
    """The plain types in an annotation, those inside a list left out."""
    if get_origin(hint) is Annotated:
        return _takes(get_args(hint)[0])
    if get_origin(hint) in (tuple, list, dict):
        return set()
    return set().union(*map(_takes, get_args(hint))) if get_args(hint) else {hint}


PARTS = [part for part in (getattr(selfimprove, name) for name in selfimprove.__all__) if dataclasses.is_dataclass(part) and isinstance(part, type)]
NUMBERS = [
    (part, field.name, _takes(hint))
    for part in PARTS
    if hasattr(part, "__pydantic_validator__")
    for field in dataclasses.fields(part)
    if {int, float} & _takes(hint := get_type_hints(part, include_extras=True)[field.name])
]


def test_the_public_parts_have_numbers() -> None:
    assert len(NUMBERS) > 60


@pytest.mark.parametrize(("part", "name", "kinds"), NUMBERS, ids=[f"{part.__name__}.{name}" for part, name, _ in NUMBERS])
def test_a_number_is_neither_true_nor_text_nor_infinite(part: Any, name: str, kinds: set[Any]) -> None:
    for value in NO_NUMBERS:
        if (value is None and type(None) in kinds) or (isinstance(value, bool) and bool in kinds) or (isinstance(value, str) and str in kinds):
            continue
        with pytest.raises(pydantic.ValidationError) as caught:
            part(**{name: value})
        assert any(error["loc"][0] == name for error in caught.value.errors(include_input=False)), (value, caught.value)
