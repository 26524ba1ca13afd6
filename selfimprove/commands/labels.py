"""Reads which traces a person found correct."""

from __future__ import annotations

from pathlib import Path

from selfimprove.errors import UserError
from selfimprove.records.foreign_text import parse_json, read_text


def read_labels(file: Path) -> dict[str, bool]:
    """Whether each labelled trace is correct, by its id, from JSON lines with `trace_id` and `correct`; other keys are ignored.

    Raises:
        UserError: the file cannot be read, holds no label, labels a trace twice, or a line is no label; names the line.
    """
    try:
        lines = read_text(file).split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    labels: dict[str, bool] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            trace, correct = row["trace_id"], row["correct"]
            if not isinstance(trace, str) or not isinstance(correct, bool):
                raise TypeError
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f'{file}, line {number}: a label is {{"trace_id": "…", "correct": true}}, or false') from error
        if trace in labels:
            raise UserError(f"{file}, line {number}: the trace {trace} is labelled twice; remove one of the two")
        labels[trace] = correct
    if not labels:
        raise UserError(f"{file} holds no labels")
    return labels
