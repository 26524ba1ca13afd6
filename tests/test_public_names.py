"""The public names of the package: few, complete for a workflow file, and documented down to each setting."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import selfimprove
from selfimprove import Round, Workflow, protocols, records
from selfimprove.settings.fields import parameters

PUBLIC = {name: getattr(selfimprove, name) for name in selfimprove.__all__}
PARTS = [thing for thing in PUBLIC.values() if inspect.isclass(thing) and dataclasses.is_dataclass(thing)]


def test_the_public_names_are_few_and_leave_out_records_and_protocols() -> None:
    assert 50 <= len(PUBLIC) <= 70
    assert set(PUBLIC).isdisjoint(records.__all__) and set(PUBLIC) & set(protocols.__all__) == {"Resources"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_has_a_docstring(name: str) -> None:
    doc = inspect.getdoc(PUBLIC[name]) or ""
    # Python gives a dataclass without a docstring its signature.
    assert doc and not doc.startswith(f"{name}(")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_setting_of_a_part_has_a_meaning(part: type) -> None:
    if part is Round:
        assert {one.name for one in parameters(Round)} < {one.name for one in parameters(Workflow)}
    else:
        assert [one.name for one in parameters(part) if not one.meaning] == []


def test_the_parts_that_a_workflow_takes_are_public() -> None:
    parts = {part.__name__ for owner in (Workflow, Round) for hint in get_type_hints(owner).values() for part in _dataclasses_in(hint)}
    # Behaviours' cues need two more names, all three from `selfimprove.thinking.behaviours`; a proposer is from `selfimprove.workflow.proposer`.
    assert parts - set(PUBLIC) == {"Behaviours", "Proposer"} and len(parts) > 10


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        yield hint
    for argument in get_args(hint):
        yield from _dataclasses_in(argument)
