"""Writes values as JSON and reads them back as plain data, so that what comes from a process that is not trusted can be nothing but data.

Lists, strings, truth values, None and floats are themselves; everything else is a JSON object with one key, its kind. A whole number is
hexadecimal: decimal numerals have a limit on their digits. What is neither is for the caller to stand in for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # That of `typing` takes as long to load as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def encode(value: Any, stand_in: Callable[[Any], Any]) -> Any:
    """The value for JSON; `stand_in` gives what is sent in place of something that is not plain data, or raises TypeError."""
    # A subclass is sent as the plain type it extends, so that no method of its own is called where the answer is compared.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return {"int": hex(value)}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return [encode(item, stand_in) for item in list.__iter__(value)]
    if isinstance(value, dict):
        return {"dict": [[encode(key, stand_in), encode(item, stand_in)] for key, item in dict.items(value)]}
    if isinstance(value, tuple):
        return {"tuple": [encode(item, stand_in) for item in tuple.__iter__(value)]}
    if isinstance(value, set):
        return {"set": [encode(item, stand_in) for item in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"frozenset": [encode(item, stand_in) for item in frozenset.__iter__(value)]}
    return stand_in(value)


def decode(value: Any, stood_for: Callable[[str, Any], Any]) -> Any:
    """What was encoded; `stood_for(kind, content)` gives what a stand-in stands for."""
    if isinstance(value, list):
        return [decode(item, stood_for) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "int":
        return int(content, 16)
    if kind == "complex":
        return complex(*content)
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "dict":
        return {decode(key, stood_for): decode(item, stood_for) for key, item in content}
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](decode(item, stood_for) for item in content)
    return stood_for(kind, content)
