"""A workflow as plain data: described, compared, and changed by path."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact_settings
from selfimprove.records.foreign_text import has_lone_surrogate, parse_json

T = TypeVar("T")

LONGEST_SHOWN = 200
"""Maximum number of characters of a `--set` that an error repeats."""


def describe(value: Any) -> Any:
    """A workflow or part as JSON data: the names of its classes and the values of their fields, secrets replaced by `***`.

    A field with `described: False` in its metadata is left out: it changes no result, so a run may continue with another value, as with another
    secret.
    """
    return redact_settings(_described(value))


def _described(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.metadata.get("described", True)]
        fields = {name: _described(getattr(value, name)) for name in names}
        return {"part": type(value).__qualname__, **fields}
    if isinstance(value, Mapping):
        return {str(key): _described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value) if not hasattr(value, "__dict__") else {"part": type(value).__qualname__, **_described(vars(value))}


def differences(old: Any, new: Any) -> Iterator[str]:
    """One line for each setting that differs between two descriptions: `sampling.temperature: 0.8 → 0.7`."""
    for path, (before, after) in contrasts([old, new]):
        yield f"{path}: {short(before)} → {short(after)}"


def contrasts(described: Sequence[Any], path: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The path of each setting that is not the same in all these descriptions, and its value in each; None where it is absent. Parts in a list are
    numbered from 1, as `override` numbers them."""
    if all(isinstance(one, dict) for one in described):
        for key in dict.fromkeys(key for one in described for key in one):
            yield from contrasts([one.get(key) for one in described], f"{path}.{key}" if path else key)
    elif all(isinstance(one, list) and len(one) == len(described[0]) and all(isinstance(part, dict) for part in one) for one in described):
        for number, parts in enumerate(zip(*described, strict=True), start=1):
            yield from contrasts(parts, f"{path}.{number}")
    elif any(one != described[0] for one in described):
        yield path, tuple(described)


def override(part: T, assignment: str) -> T:
    """The part with one setting changed: `sampling.temperature=0.7`. A value is JSON or plain text.

    Elements of a tuple are numbered from 1: `rounds.2.reinforcement.steps=5`.

    Raises:
        UserError: the field does not exist or does not take this value.
    """
    path, separator, text = assignment.partition("=")
    shown = assignment if len(assignment) <= LONGEST_SHOWN else f"{assignment[: LONGEST_SHOWN - 1]}…"
    if not separator or not path:
        raise UserError(f"--set {shown}: expected part.field=value")
    try:
        value = parse_json(text)
    except json.JSONDecodeError:
        value = text
    except ValueError as error:
        raise UserError(f"--set {shown}: {error}; plain text that reads like this needs double quotes") from error
    if has_lone_surrogate(assignment):
        raise UserError(f"--set {shown}: is not UTF-8 text; encode it so")
    changed: T = _replace(part, path.split("."), value, shown)
    return changed


def _replace(part: Any, path: list[str], value: Any, assignment: str) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(part, Mapping) and rest and name not in part:
        raise UserError(f"--set {assignment}: there is no {name!r} to change; {_nearest(part, name)}")
    if isinstance(part, Mapping):
        return {**part, name: _replace(part[name], rest, value, assignment) if rest else value}
    if isinstance(part, tuple) and name.isdigit() and 0 < int(name) <= len(part):
        place = int(name) - 1
        return (*part[:place], _replace(part[place], rest, value, assignment) if rest else value, *part[place + 1 :])
    if name not in _inside(part) or isinstance(part, tuple):
        raise UserError(f"--set {assignment}: {'null' if part is None else type(part).__name__} has no field {name!r}; {_nearest(part, name)}")
    new = _replace(getattr(part, name), rest, value, assignment) if rest else value
    if isinstance(value, bool) and not rest and _is_number(getattr(part, name)) and not hasattr(type(part), "__pydantic_validator__"):
        raise UserError(f"--set {assignment}: {name}: expected a number, not true or false")
    try:
        return dataclasses.replace(part, **{name: new})
    except (pydantic.ValidationError, TypeError, ValueError) as error:
        raise UserError(f"--set {assignment}: {explain(error)}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _inside(part: Any) -> dict[str, Any]:
    """The contents of a part by field, of a mapping by key, of a tuple by number."""
    if dataclasses.is_dataclass(part):
        return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return dict(part) if isinstance(part, Mapping) else {str(n): item for n, item in enumerate(part, start=1)} if isinstance(part, tuple) else {}


def _nearest(part: Any, name: str) -> str:
    """A suggestion: a nested setting with exactly this name, or else the field or nested setting with the most similar name."""
    if part is None:
        return "no part is set there: set one in the workflow file"
    names, paths = list(_inside(part)), list(_paths(part))
    # Sorted, and outer names first among equally close ones, so that the suggestion is the same in every process.
    known = [*names, *sorted({path.rpartition(".")[2] for path in paths} - set(names))]
    meant = name if name in known else next(iter(difflib.get_close_matches(name, known, n=1)), "")
    close = sorted((path for path in paths if path.rpartition(".")[2] == meant), key=lambda path: path.count("."))[:3]
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names) or 'no fields'}"


def _paths(part: Any) -> Iterator[str]:
    for name, inner in _inside(part).items():
        yield from (name, *(f"{name}.{path}" for path in _paths(inner)))


def explain(error: BaseException) -> str:
    """What is wrong with a value, on one line."""
    if isinstance(error, pydantic.ValidationError):
        return "; ".join(": ".join([*filter(None, [".".join(map(str, item["loc"]))]), item["msg"]]) for item in error.errors()[:3])
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def short(value: Any) -> str:
    """The value as JSON, at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
