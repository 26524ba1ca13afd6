"""Problems from a file of JSON objects, one a line."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.problems.rows import problem_from_row
from selfimprove.problems.split import question_key
from selfimprove.records import Problem


@dataclass(frozen=True, config={"extra": "forbid"})
class Jsonl:
    """Problems from a file of JSON objects, one a line; empty lines are passed over."""

    path: Path | str
    """The file, from the current folder on."""
    question: str = "question"
    """The field that holds the question."""
    answer: str | None = "answer"
    """The field that holds the reference answer, text or a number; None where there are no reference answers. All other fields become metadata."""
    id: str | None = None
    """The field that holds the id; without it, ids are the file's name and the line's number: `train-17`."""

    def load(self) -> list[Problem]:
        """The problems in the order of the lines.

        Raises UserError naming the file, and the line where there is one: no such file, not UTF-8, not a JSON object, a
        question or answer that is absent or empty, an id or question that an earlier line has, no problems at all.
        """
        path = Path(self.path)
        problems: list[Problem] = []
        seen: dict[tuple[str, str], int] = {}
        for number, line in enumerate(self._lines(path), start=1):
            if not line.strip():
                continue
            problem = self._problem(path, number, line)
            for what, key in (("id", problem.id), ("question", question_key(problem.question))):
                if (what, key) in seen:
                    raise UserError(f"{path}, line {number}: the {what} is that of line {seen[what, key]}; remove one of the two")
                seen[what, key] = number
            problems.append(problem)
        if not problems:
            raise UserError(f"{path}: the file holds no problems; give it one JSON object a line")
        return problems

    @staticmethod
    def _lines(path: Path) -> list[str]:
        try:
            # Not splitlines(): JSON strings may hold U+2028 and its like, which that takes for ends of lines.
            return path.read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            close = difflib.get_close_matches(path.name, (file.name for file in path.parent.glob("*")), n=1)
            hint = f"did you mean {path.with_name(close[0])}?" if close and not path.exists() else "check the path"
            raise UserError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: is not UTF-8 text (byte {error.start}); convert it") from error

    def _problem(self, path: Path, number: int, line: str) -> Problem:
        where = f"{path}, line {number}"
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: is not JSON ({error}); each line must be one JSON object") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}: is not a JSON object but a {type(row).__name__}; write {{{self.question!r}: …, …}}")
        id = f"{path.stem}-{number}"
        if self.id is not None:
            id = str(row.pop(self.id, None) or "").strip()
            if not id:
                raise UserError(f"{where}: has no {self.id!r}; name the field that holds the id, or leave `id` out")
        return problem_from_row(row, self.question, self.answer, id, f"jsonl:{path.name}", where)
