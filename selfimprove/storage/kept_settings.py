"""Reads the settings that a run keeps in `workflow.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from selfimprove.errors import UserError
from selfimprove.records.ranges import Count
from selfimprove.thinking.behaviours import Behaviour


class _Delimiters(TypedDict):
    begin: str
    end: str


class _Cue(TypedDict):
    behaviour: Behaviour
    pattern: str
    where: str


class _Behaviours(TypedDict):
    cues: list[_Cue]


class _Settings(TypedDict):
    """The entries that commands read without the workflow's file."""

    name: str
    base_model: str
    generations: Count
    answer_only_baseline: bool
    delimiters: NotRequired[_Delimiters | None]
    behaviours: NotRequired[_Behaviours | None]


_adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_checked = TypeAdapter(_Settings)


def read_settings(file: Path) -> dict[str, Any]:
    """The settings as JSON data.

    Raises:
        UserError: the file holds something else.
    """
    content = file.read_bytes()
    try:
        settings: dict[str, Any] = _adapter.validate_json(content)
        _checked.validate_python(settings)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise UserError(f"{file} is not valid JSON ({first['msg']}); fix it, or use another --run-dir") from error
        where = ".".join(map(str, first["loc"])) or "its content"
        raise UserError(f"{file} does not hold the settings of a run: {where}: {first['msg']}; fix it, or use another --run-dir") from error
    return settings
