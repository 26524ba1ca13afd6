"""Python files and `--set` assignments without their secrets."""

from __future__ import annotations

import io
import json
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from selfimprove.errors import UserError
from selfimprove.errors.redaction import HIDDEN, is_secret, redact, redact_settings

NOTE = f"# Secrets were left out of this copy: {HIDDEN} stands for each. Put them back and remove this line to use it.\n"
"""Last line of a copy that lacks secrets."""

Position: TypeAlias = tuple[int, int]
"""Line, from 1, and column, from 0."""

_STRING = re.compile(r"(?P<quote>\w*('''|\"\"\"|'|\"))(?P<text>.*)\2", re.DOTALL)


def source_without_secrets(source: bytes) -> bytes:
    """A Python file without the secrets in its strings and comments: unchanged without any, else with `NOTE` at its end."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    text = source.decode(encoding)
    starts = [0]
    for line in io.StringIO(text, newline=""):
        starts.append(starts[-1] + len(line))

    def place(position: Position) -> int:
        return starts[position[0] - 1] + position[1]

    found = tokenize.generate_tokens(io.StringIO(text, newline="").readline)
    tokens = list(_whole_strings(found, lambda start, end: text[place(start) : place(end)]))
    parts, done = [], 0
    for number, token in enumerate(tokens):
        shown = _shown(tokens[max(0, number - 4) : number], token)
        if shown != token.string:
            begin, end = place(token.start), place(token.end)
            parts += [text[done:begin], shown]
            done = end
    if not parts:
        return source
    newline = "" if text.endswith(("\n", "\r")) else "\n"
    return ("".join([*parts, text[done:]]) + newline + NOTE).encode(encoding)


def change_without_secrets(change: str) -> str:
    """A `--set` assignment; its value is `***` if it is secret or contains a secret."""
    path, _, text = change.partition("=")
    name = path.rpartition(".")[2]
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return change if redact_settings({name: value}) == {name: value} else f"{path}={HIDDEN}"


def with_secrets(files: Iterable[Path], changes: Sequence[str], given: Sequence[str]) -> list[str]:
    """The changes of a run, followed by those that are given now.

    Raises:
        UserError: one of the `files`, or a change that is not given again, lacks a secret.
    """
    if file := next((file for file in files if file.read_bytes().endswith(NOTE.encode())), None):
        raise UserError(
            f"{file} was kept without its secrets: put them back where it says {HIDDEN} and remove its last line; "
            f"a workflow that reads them from environment variables (os.environ) needs no such step"
        )
    again = {change.partition("=")[0] for change in given}
    for path, _, value in (change.partition("=") for change in changes):
        if value == HIDDEN and path not in again:
            raise UserError(f"the run was started with a secret --set {path}, which it does not keep: give that --set again")
    return [*(change for change in changes if change.partition("=")[2] != HIDDEN), *given]


def _whole_strings(tokens: Iterable[tokenize.TokenInfo], text: Callable[[Position, Position], str]) -> Iterator[tokenize.TokenInfo]:
    """The tokens with each f-string as one, as Python 3.11 gives them; from 3.12 on its parts are tokens of their own."""
    opening: list[tokenize.TokenInfo] = []
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        if kind in ("FSTRING_START", "TSTRING_START"):
            opening.append(token)
        elif kind in ("FSTRING_END", "TSTRING_END"):
            first = opening.pop()
            if not opening:
                yield tokenize.TokenInfo(tokenize.STRING, text(first.start, token.end), first.start, token.end, first.line)
        elif not opening:
            yield token


def _shown(before: Sequence[tokenize.TokenInfo], token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.COMMENT:
        return redact(token.string)
    if token.type != tokenize.STRING or not (found := _STRING.fullmatch(token.string)):
        return token.string
    content = found["text"]
    hidden = HIDDEN if content and is_secret(_name(before)) else redact(content, content)
    return token.string if hidden == content else f"{found['quote']}{hidden}{found[2]}"


def _name(before: Sequence[tokenize.TokenInfo]) -> str:
    """The name that the next string is a value of: in `name="…"`, `{"name": "…"}`, `os.environ["NAME"] = "…"`, `getenv("NAME", "…")`."""
    seen = [token.string for token in before if token.type in (tokenize.NAME, tokenize.STRING, tokenize.OP)]
    match seen:
        case [name, ":", _, "="]:
            return name
        case [*_, name, "=" | ":"] if name != "]":
            return name.strip("'\"")
        case [*_, name, "]", "="]:
            return name.strip("'\"")
        case [*_, name, ","] if name.strip("'\"").isupper():
            return name.strip("'\"")
    return ""
