"""Writes values as bytes and reads them back as plain data, so that what comes from a process that is not trusted can be nothing but data.

A value is a letter for its kind and what the kind needs: numbers of four bytes are lengths and counts. Not JSON, which knows few kinds, and whose
module takes as long to load as the interpreter; not `marshal` or `pickle`, which must not be read from those who are not trusted.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # That of `typing` takes as long to load as everything else here.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NUMBER, FLOAT, COMPLEX = struct.Struct("!I"), struct.Struct("!d"), struct.Struct("!dd")
SINGLE: dict[bytes, object] = {b"N": None, b"T": True, b"F": False}
MANY: dict[bytes, Callable[[list[Any]], Any]] = {b"l": list, b"t": tuple, b"e": set, b"z": frozenset}
UNREADABLE = (ValueError, TypeError, RecursionError, struct.error)
"""What reading can raise where the bytes are not what was written."""


def encode(value: Any, stand_in: Callable[[Any], tuple[bytes, int]] | None = None) -> bytes:
    """The value as bytes; `stand_in` gives a capital letter and a number for what is not plain data.

    Raises TypeError for what is not plain data where there is no `stand_in`.
    """
    # A subclass is written as the plain type it extends, so that no method of its own is called where the answer is compared.
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
    if isinstance(value, bytes | bytearray):
        return _sized(b"b", bytes(value))
    if isinstance(value, dict):
        items = [encode(part, stand_in) for item in dict.items(value) for part in item]
        return b"".join([b"m", NUMBER.pack(len(items)), *items])
    if isinstance(value, list):
        return _many(b"l", list.__iter__(value), stand_in)
    if isinstance(value, tuple):
        return _many(b"t", tuple.__iter__(value), stand_in)
    if isinstance(value, set):
        return _many(b"e", set.__iter__(value), stand_in)
    if isinstance(value, frozenset):
        return _many(b"z", frozenset.__iter__(value), stand_in)
    if stand_in is None:
        raise TypeError(f"{type(value).__name__} is not plain data")
    letter, number = stand_in(value)
    return letter + NUMBER.pack(number)


def decode(data: bytes, stood_for: Callable[[bytes, int], Any] | None = None) -> Any:
    """What was encoded; `stood_for(letter, number)` gives what a stand-in stands for. Raises one of `UNREADABLE`."""
    value, end = _read(data, 0, stood_for)
    if end != len(data):
        raise ValueError("more than one value")
    return value


def _read(data: bytes, at: int, stood_for: Callable[[bytes, int], Any] | None) -> tuple[Any, int]:
    """The value that begins at a place, and the place behind it."""
    kind, at = data[at : at + 1], at + 1
    if kind in SINGLE:
        return SINGLE[kind], at
    if kind == b"d":
        return FLOAT.unpack_from(data, at)[0], at + 8
    if kind == b"c":
        return complex(*COMPLEX.unpack_from(data, at)), at + 16
    (number,) = NUMBER.unpack_from(data, at)
    at += 4
    if kind in (b"i", b"s", b"b"):
        content = data[at : at + number]
        if kind == b"i":
            return int.from_bytes(content, "big", signed=True), at + number
        return content if kind == b"b" else content.decode("utf-8", "surrogatepass"), at + number
    if kind in MANY or kind == b"m":
        items = []
        for _ in range(number):
            item, at = _read(data, at, stood_for)
            items.append(item)
        return dict(zip(items[::2], items[1::2], strict=True)) if kind == b"m" else MANY[kind](items), at
    if stood_for is None or not kind.isupper():
        raise ValueError("no such kind")
    return stood_for(kind, number), at


def _sized(kind: bytes, content: bytes) -> bytes:
    return kind + NUMBER.pack(len(content)) + content


def _many(kind: bytes, values: Any, stand_in: Callable[[Any], tuple[bytes, int]] | None) -> bytes:
    items = [encode(value, stand_in) for value in values]
    return b"".join([kind, NUMBER.pack(len(items)), *items])
