"""The type and meaning of each setting of a part, from its annotation and its docstring."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
import types
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

REQUIRED = dataclasses.MISSING
"""The default of a setting that must be given."""
WORDS = {int: "int", float: "float", str: "text", bool: "true or false", types.NoneType: "null", Any: "anything", Path: "path"}
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a part."""

    name: str
    takes: str
    """Its type in words: `int > 0 or null`."""
    default: Any
    """`REQUIRED` if there is none."""
    meaning: str
    """Its docstring on one line, or else that of the part that it takes; empty without either."""


def parameters(part: type) -> list[Parameter]:
    """The settings of a dataclass, in order."""
    meanings = _meanings(part)
    try:
        hints = get_type_hints(part, include_extras=True)
    except NameError:
        # A user's part may use names that are only imported for type checkers.
        hints = {}
    return [
        Parameter(field.name, takes(hint := hints.get(field.name, field.type)), _default(field), meanings.get(field.name) or _role(hint))
        for field in dataclasses.fields(part)
        if field.init
    ]


def takes(annotation: Any) -> str:
    """A type in words, for values written as JSON."""
    if isinstance(annotation, str):
        return annotation
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join([takes(arguments[0]), *(limit for extra in arguments[1:] for limit in _limits(extra))]).replace(", ", " ", 1)
    if origin in (Union, types.UnionType):
        return " or ".join(map(takes, arguments))
    if origin is Literal:
        return " or ".join(json.dumps(argument, ensure_ascii=False) for argument in arguments)
    if origin in (tuple, list):
        return f"list of {takes(arguments[0])}" if arguments[1:] in ((), (...,)) else f"list of {', '.join(map(takes, arguments))}"
    if isinstance(origin or annotation, type):
        return "mapping" if issubclass(origin or annotation, Mapping) else str((origin or annotation).__name__)
    return str(annotation)


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _role(hint: Any) -> str:
    return summary(hint) if isinstance(hint, type) and hint.__module__.startswith("selfimprove") else ""


def _limits(extra: Any) -> list[str]:
    """Limits of the values in an annotation's metadata: its own, or those of a pydantic `Field`."""
    if metadata := getattr(extra, "metadata", None):
        return [limit for item in metadata for limit in _limits(item)]
    found = [f"{sign} {getattr(extra, name)}" for name, sign in SIGNS.items() if getattr(extra, name, None) is not None]
    return found + ([f"like `{extra.pattern}`"] if getattr(extra, "pattern", None) else [])


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    # A default that pydantic is to validate comes in a `Field`.
    return field.default.default if isinstance(field.default, FieldInfo) else field.default


def _meanings(part: type) -> dict[str, str]:
    """The docstring under each field, including those of base classes."""
    found: dict[str, str] = {}
    for owner in reversed(part.__mro__):
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            # A class that was written in C or at a prompt has no source.
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for statement, following in pairwise(body):
            match statement, following:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.split())
    return found
