"""Converts a row of a table into a problem."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import isfinite
from typing import Any

from selfimprove.errors import UserError
from selfimprove.records import Problem


def problem_from_row(row: Mapping[str, Any], question: str, answer: str | None, id: str, source: str, where: str) -> Problem:
    """The problem in the columns named `question` and `answer`; the other columns become its metadata.

    Without `answer`, it has no reference answer. `where` names the row in error messages.

    Raises:
        UserError: question or answer is absent, empty, or neither text nor a finite number.
    """
    asked, reference = _text(row, question, where), "" if answer is None else _text(row, answer, where)
    metadata = {column: value for column, value in row.items() if column not in (question, answer)}
    return Problem(id, asked, reference, source, metadata)


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    if column not in row:
        close = difflib.get_close_matches(column, row, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "name the field that holds it"
        raise UserError(f"{where}: there is no {column!r}, only {', '.join(map(repr, row)) or 'nothing'}; {hint}")
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise UserError(f"{where}: {column!r} is {type(value).__name__}, not text or a number; name another field")
    if isinstance(value, float) and not isfinite(value):
        raise UserError(f"{where}: {column!r} is {value}, not a finite number; correct it or remove the row")
    text = "" if value is None else str(value).strip()
    if not text:
        raise UserError(f"{where}: {column!r} is empty; fill it in or remove the row")
    return text
