"""The page of all settings, and the fields that it lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from places import ROOT
from pydantic import Field, PositiveInt

from selfimprove import SFT, VLLM, Workflow
from selfimprove.commands.settings_page import reference_page
from selfimprove.settings.fields import REQUIRED, parameters, takes

PAGE = ROOT / "docs" / "reference" / "settings.md"
generated_page = cache(reference_page)


@dataclass(frozen=True)
class Above:
    """A part."""

    size: int
    """How large
    it is."""
    shape: tuple[str, ...] = ()


@dataclass(frozen=True)
class Below(Above):
    """Another."""

    extra: dict[str, Any] = field(default_factory=dict)
    """What else there is."""


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == generated_page(), "run `make settings`"


def test_every_setting_of_a_workflow_is_on_the_page_and_every_link_leads_to_a_part() -> None:
    page = generated_page()
    chapter = page.split("### Workflow\n")[1].split("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", chapter, flags=re.MULTILINE) == list(Workflow.__dataclass_fields__)
    parts = {title.lower() for title in re.findall(r"^### (\w+)$", page, flags=re.MULTILINE)}
    links = set(re.findall(r"\]\(#(\w+)\)", page))
    assert len(links) > 5 and links <= parts and {VLLM.__name__.lower(), SFT.__name__.lower()} <= parts
    assert len({line.count(" | ") for line in chapter.splitlines() if line.startswith("| `")}) == 1


def test_a_setting_has_a_name_a_type_a_default_and_a_docstring_also_from_base_classes() -> None:
    found = [(one.name, one.takes, one.default, one.meaning) for one in parameters(Below)]
    assert found == [
        ("size", "int", REQUIRED, "How large it is."),
        ("shape", "list of text", (), ""),
        ("extra", "mapping", {}, "What else there is."),
    ]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (PositiveInt | None, "int > 0 or null"),
        (Annotated[float, Field(ge=0, lt=1)], "float ≥ 0, < 1"),
        (Annotated[str, Field(pattern="^a$")], "text like `^a$`"),
        (Literal["base", 2], '"base" or 2'),
        (tuple[int, str], "list of int, text"),
        (Path | str, "path or text"),
        (bool, "true or false"),
        (Above, "Above"),
        ("Later | None", "Later | None"),
        (Any, "anything"),
    ],
)
def test_types_read_as_words(annotation: Any, words: str) -> None:
    assert takes(annotation) == words


def test_other_types_are_shown_as_they_are() -> None:
    assert "Callable" in takes(Callable[[int], str])
