"""Problems from a file with one JSON object per line."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.problems.columns import Columns, distinct, take_id
from selfimprove.records import Problem
from selfimprove.records.foreign_text import parse_json, read_text


@dataclass(frozen=True, config={"extra": "forbid"})
class Jsonl(Columns):
    """Problems from a file with one JSON object per line. Empty lines are ignored."""

    path: Path | str
    """Path of the file."""
    id: str | None = None
    """Field that holds the id; None numbers the problems by file and line: `train-17`."""

    def load(self) -> list[Problem]:
        """The problems in the order of the lines.

        Raises:
            UserError: the file cannot be read, is not UTF-8 or holds no problems; or a line is not a JSON object, holds what cannot be stored, lacks
                the question or answer, or repeats an id or question. Names the file and the line.
        """
        path = Path(self.path)
        lines = [(number, line) for number, line in enumerate(self._lines(path), start=1) if line.strip()]
        problems = distinct((str(path), f"line {number}", self._problem(path, number, line)) for number, line in lines)
        if not problems:
            raise UserError(f"{path}: the file holds no problems; it needs one JSON object per line")
        return problems

    @staticmethod
    def _lines(path: Path) -> list[str]:
        try:
            # Not splitlines(): it also splits at U+2028 and the like, which JSON strings may contain.
            return read_text(path).split("\n")
        except OSError as error:
            close = [] if os.path.exists(path) else difflib.get_close_matches(path.name, (file.name for file in path.parent.glob("*")), n=1)
            hint = f"did you mean {path.with_name(close[0])}?" if close else "give the path of a file with one JSON object per line"
            raise UserError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
        except ValueError as error:
            raise UserError(f"{path}: {error}; give the path of a UTF-8 file with one JSON object per line") from error

    def _problem(self, path: Path, number: int, line: str) -> Problem:
        where = f"{path}, line {number}"
        try:
            row: Any = parse_json(line)
        except ValueError as error:
            raise UserError(f"{where}: is not JSON that can be used: {error}; each line must be one JSON object") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}: is not a JSON object but a {type(row).__name__}; write {{{self.question!r}: …, …}}")
        id = take_id(row, self.id, f"{path.stem}-{number}", where)
        return self.problem(row, id, f"jsonl:{path.name}", where)
