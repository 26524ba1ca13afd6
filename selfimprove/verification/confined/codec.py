"""Encodes values as bytes and decodes them as plain data, so that an untrusted process can send nothing but data.

A value is a letter for its kind, followed by its content; lengths and counts are numbers of four bytes. Not JSON, which has few kinds and whose
module takes as long to load as the interpreter; not `marshal` or `pickle`, which are unsafe with untrusted input.
"""

from __future__ import annotations

import struct
import sys

TYPE_CHECKING = False  # Importing it from `typing` takes as long as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NUMBER, FLOAT, COMPLEX = struct.Struct("!I"), struct.Struct("!d"), struct.Struct("!dd")
SIZED: dict[bytes, Callable[[bytes], Any]] = {
    b"i": lambda content: int.from_bytes(content, "big", signed=True),
    b"s": lambda content: content.decode("utf-8", "surrogatepass"),
    b"b": bytes,
    b"a": bytearray,
}
SINGLE: dict[bytes, object] = {b"N": None, b"T": True, b"F": False}
UNREADABLE = (ValueError, TypeError, RecursionError, struct.error)
"""What decoding may raise for invalid bytes."""


# Values of the standard library that an equal one can be made of: the module, and the arguments that make an equal one.
REBUILT: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    "range": ("builtins", lambda value: (value.start, value.stop, value.step)),
    "Fraction": ("fractions", lambda value: (value.numerator, value.denominator)),
    "Decimal": ("decimal", lambda value: (str(value),)),
    "datetime": ("datetime", lambda value: (*value.timetuple()[:6], value.microsecond)),
    "date": ("datetime", lambda value: (value.year, value.month, value.day)),
    "time": ("datetime", lambda value: (value.hour, value.minute, value.second, value.microsecond)),
    "timedelta": ("datetime", lambda value: (value.days, value.seconds, value.microseconds)),
    "deque": ("collections", lambda value: (list(value), value.maxlen)),
}


def encode(value: Any, refer: Callable[[Any], tuple[bytes, int]] | None = None) -> bytes:
    """The value as bytes. For an object that is not plain data, `refer` returns a capital letter and a number.

    Raises TypeError for such an object if there is no `refer`.
    """
    # A subclass is encoded as the plain type it extends, so that a comparison never calls a method of the submission.
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, float):
        return b"d" + FLOAT.pack(value)
    if isinstance(value, int):
        return _sized(b"i", int.to_bytes(value, int.bit_length(value) // 8 + 1, "big", signed=True))
    if isinstance(value, str):
        return _sized(b"s", str.encode(value, "utf-8", "surrogatepass"))
    if isinstance(value, complex):
        return b"c" + COMPLEX.pack(value.real, value.imag)
    if isinstance(value, bytes):
        return _sized(b"b", bytes(value))
    if isinstance(value, bytearray):
        return _sized(b"a", bytes(value))
    if isinstance(value, dict):
        items = [encode(part, refer) for item in dict.items(value) for part in item]
        return b"".join([b"m", NUMBER.pack(len(items)), *items])
    if isinstance(value, list):
        return _many(b"l", list.__iter__(value), refer)
    if isinstance(value, tuple) and (fields := getattr(type(value), "_fields", None)):
        return _many(b"n", [type(value).__name__, list(fields), *tuple.__iter__(value)], refer)
    if isinstance(value, tuple):
        return _many(b"t", tuple.__iter__(value), refer)
    if isinstance(value, set):
        return _many(b"e", set.__iter__(value), refer)
    if isinstance(value, frozenset):
        return _many(b"z", frozenset.__iter__(value), refer)
    for name, (module, arguments) in REBUILT.items():
        # A module that nothing has loaded has no values.
        if module in sys.modules and isinstance(value, getattr(sys.modules[module], name)) and getattr(value, "tzinfo", None) is None:
            return _many(b"o", [name, *arguments(value)], refer)
    if refer is None:
        raise TypeError(f"{type(value).__name__} is not plain data")
    letter, number = refer(value)
    return letter + NUMBER.pack(number)


def decode(data: bytes, resolve: Callable[[bytes, int], Any] | None = None) -> Any:
    """The value that was encoded; `resolve(letter, number)` returns the object that was referred to. Raises one of `UNREADABLE`."""
    value, end = _read(data, 0, resolve)
    if end != len(data):
        raise ValueError("more than one value")
    return value


def _read(data: bytes, at: int, resolve: Callable[[bytes, int], Any] | None) -> tuple[Any, int]:
    """The value that begins at this position, and the position after it."""
    kind, at = data[at : at + 1], at + 1
    if kind in SINGLE:
        return SINGLE[kind], at
    if kind == b"d":
        return FLOAT.unpack_from(data, at)[0], at + 8
    if kind == b"c":
        return complex(*COMPLEX.unpack_from(data, at)), at + 16
    (number,) = NUMBER.unpack_from(data, at)
    at += 4
    if kind in SIZED:
        return SIZED[kind](data[at : at + number]), at + number
    if kind in MANY:
        items = []
        for _ in range(number):
            item, at = _read(data, at, resolve)
            items.append(item)
        return MANY[kind](items), at
    if resolve is None or not kind.isupper():
        raise ValueError("unknown kind")
    return resolve(kind, number), at


def _sized(kind: bytes, content: bytes) -> bytes:
    return kind + NUMBER.pack(len(content)) + content


def _many(kind: bytes, values: Any, refer: Callable[[Any], tuple[bytes, int]] | None) -> bytes:
    items = [encode(value, refer) for value in values]
    return b"".join([kind, NUMBER.pack(len(items)), *items])


def _dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _named_tuple(items: list[Any]) -> Any:
    from collections import namedtuple

    name, fields, *values = items
    return namedtuple(name, fields)(*values)  # type: ignore[misc]


def _rebuilt(items: list[Any]) -> Any:
    name, *arguments = items
    try:
        module, _ = REBUILT[name]
        return getattr(__import__(module), name)(*arguments)
    except (LookupError, ArithmeticError) as error:
        raise ValueError(f"not a {name}") from error


MANY: dict[bytes, Callable[[list[Any]], Any]] = {
    b"l": list, b"t": tuple, b"e": set, b"z": frozenset, b"m": _dict, b"n": _named_tuple, b"o": _rebuilt
}  # fmt: skip
