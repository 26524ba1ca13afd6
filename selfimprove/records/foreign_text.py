"""Text and JSON from outside: from people, model folders and servers."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

DEEPEST = 64
"""Maximum nesting of JSON; code that walks through it recursively would fail at some hundreds."""
SMALL = 1 << 20
LONGEST_NUMBER = 1000
"""Maximum digits of a whole number in JSON. Python refuses to convert more than 4,300."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        OSError: the file is missing, cannot be read, or is a folder, a pipe or a device.
        ValueError: it is not UTF-8, or no path can have this name.
    """
    if not stat.S_ISREG(mode := path.stat().st_mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(0, f"is {kind}, not a file", str(path))
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start})") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text that can also be written again, stored and sent.

    Raises:
        json.JSONDecodeError: the text is not JSON.
        ValueError: it repeats a key, or holds NaN, an infinite or very long number, a lone surrogate, or too deep nesting.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except RecursionError as error:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from error
    if "\\u" in text or has_lone_surrogate(text) or text.count("[") + text.count("{") > DEEPEST:
        require_storable(value)
    return value


def require_storable(value: Any) -> None:
    """Refuse JSON data that could not be written or walked through.

    Raises:
        ValueError: a text or a key holds a lone surrogate, or the data is nested too deeply.
    """
    for part, depth in _inside(value):
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        if isinstance(part, str) and has_lone_surrogate(part):
            raise ValueError("it holds half of a surrogate pair, which is no character")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model, as transformers reads it: some hold `Infinity`.

    Raises:
        OSError, ValueError: as `read_text`, or the file holds something else.
    """
    text = read_text(path)
    if not text.strip():
        raise ValueError("is empty")
    try:
        value = json.loads(text)
        # A larger file is a vocabulary; its own library limits the nesting.
        if len(text) < SMALL:
            require_storable(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}, not a JSON object")
    return value


def has_lone_surrogate(text: str) -> bool:
    """Whether the text holds half of a surrogate pair: no encoding can store it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def storable(text: str) -> str:
    """The text with each half of a surrogate pair replaced by U+FFFD, and two halves that belong together joined."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if has_lone_surrogate(text) else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:60]!r} is there twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON: write a finite one, or null")


def _float(digits: str) -> float:
    if not isfinite(value := float(digits)):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return value


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits):,} digits is too long: write it as text, in quotes")
    return int(digits)


def _inside(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value and key inside, and how deep it lies; without recursion, since the depth is not known."""
    left = [(value, 0)]
    while left:
        part, depth = left.pop()
        yield part, depth
        inner: Iterable[Any] = (*part, *part.values()) if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        left += [(one, depth + 1) for one in inner]
