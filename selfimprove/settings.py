"""A workflow as plain data: shown, compared, and changed by path."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pydantic

from selfimprove.errors import UserError

T = TypeVar("T")


def describe(value: Any) -> Any:
    """JSON data that tells a workflow, or any part, by the names of its classes and the values of their fields.

    A field whose metadata say `described: False` changes no result: it is left out, so that a run may be continued with another value.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = [field.name for field in dataclasses.fields(value) if field.metadata.get("described", True)]
        fields = {name: describe(getattr(value, name)) for name in told}
        return {"part": type(value).__qualname__, **fields}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value) if not hasattr(value, "__dict__") else {"part": type(value).__qualname__, **describe(vars(value))}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line for each setting in which two descriptions differ: `sampling.temperature: 0.8 → 0.7`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path}: {_short(old)} → {_short(new)}"


def override(part: T, assignment: str) -> T:
    """The part with one setting changed: `sampling.temperature=0.7`. Values are JSON, or else taken as text.

    What is in a tuple is reached by its place, from 1 on: `rounds.2.reinforcement.steps=5`.

    Raises:
        UserError: there is no such field, or it does not take this value.
    """
    path, separator, text = assignment.partition("=")
    if not separator or not path:
        raise UserError(f"--set {assignment}: expected part.field=value")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    changed: T = _replace(part, path.split("."), value, assignment)
    return changed


def _replace(part: Any, path: list[str], value: Any, assignment: str) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(part, Mapping):
        return {**part, name: _replace(part[name], rest, value, assignment) if rest and name in part else value}
    if isinstance(part, tuple) and name.isdigit() and 0 < int(name) <= len(part):
        place = int(name) - 1
        return (*part[:place], _replace(part[place], rest, value, assignment) if rest else value, *part[place + 1 :])
    names = [field.name for field in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else []
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names) or 'no fields'}"
        raise UserError(f"--set {assignment}: {type(part).__name__} has no field {name!r}; {hint}")
    new = _replace(getattr(part, name), rest, value, assignment) if rest else value
    try:
        return dataclasses.replace(part, **{name: new})
    except (pydantic.ValidationError, TypeError, ValueError) as error:
        raise UserError(f"--set {assignment}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """What is wrong with a value, in one line."""
    if isinstance(error, pydantic.ValidationError):
        return "; ".join(": ".join([*filter(None, [".".join(map(str, item["loc"]))]), item["msg"]]) for item in error.errors()[:3])
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
