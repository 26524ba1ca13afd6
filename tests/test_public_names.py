"""What `from selfimprove import *` gives: complete, and documented down to the settings."""

from __future__ import annotations

import dataclasses
import inspect
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

import selfimprove
from selfimprove import Round, Workflow
from selfimprove.settings.fields import parameters

PUBLIC = {name: getattr(selfimprove, name) for name in selfimprove.__all__}
PARTS = [
    thing
    for thing in PUBLIC.values()
    if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and not thing.__module__.startswith("selfimprove.records.")
]


def test_every_name_that_the_package_imports_is_public_and_listed_once() -> None:
    there = {name for name, thing in vars(selfimprove).items() if not name.startswith("_") and not isinstance(thing, ModuleType)}
    assert there == set(selfimprove.__all__) and max(Counter(selfimprove.__all__).values()) == 1


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_says_what_it_is(name: str) -> None:
    told = inspect.getdoc(PUBLIC[name]) or ""
    # A dataclass without a docstring is given its signature.
    assert told and not told.startswith(f"{name}(")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_setting_of_a_part_has_a_meaning(part: type) -> None:
    if part is Round:
        assert {one.name for one in parameters(Round)} < {one.name for one in parameters(Workflow)}
    else:
        assert [one.name for one in parameters(part) if not one.meaning] == []


def test_whatever_a_workflow_is_made_of_is_public() -> None:
    waiting, seen = [Workflow], {Workflow}
    while waiting:
        for hint in get_type_hints(waiting.pop()).values():
            new = set(_parts_in(hint)) - seen
            waiting += new
            seen |= new
    assert {part.__name__ for part in seen} <= set(selfimprove.__all__) and len(seen) > 12


def _parts_in(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        yield hint
    for argument in get_args(hint):
        yield from _parts_in(argument)
