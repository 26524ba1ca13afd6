"""Which columns of a table hold what, and the problem in a row."""

from __future__ import annotations

import difflib
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.problems.cells import boxed_answer, cell_text, gsm8k_answer
from selfimprove.problems.split import question_key
from selfimprove.records import Problem

SAME_MEANING = (
    ("question", "problem", "prompt", "query", "input", "instruction", "question_text", "task", "text", "messages", "conversations"),
    ("answer", "answers", "answerkey", "solution", "target", "label", "final_answer", "ground_truth", "gold", "expected", "reference", "output"),
    ("options", "choices", "endings", "candidates"),
    ("id", "uid", "idx", "index", "name", "key", "problem_id", "question_id"),
)
"""Names that tables give to the same thing, the commonest first."""


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Columns:
    """Names of the columns that a problem is made of. All other columns become metadata."""

    question: str = "question"
    """Column that holds the question: text, or a chat (`messages`) with one user turn. System turns are left out: the prompter writes its own."""
    answer: str | None = "answer"
    """Column that holds the reference answer: text, a number, `true` or `false`, a list (joined by commas), or a chat whose last turn it is. None if
    there are no reference answers."""
    answer_from: Literal["gsm8k", "boxed", "index"] | None = None
    r"""Where the answer is in its column: after the last `####` (`gsm8k`), in the last `\boxed{}` (`boxed`), or in the option that the number there
    counts to, from 0 (`index`). None: the whole text is the answer."""
    options: str | tuple[str, ...] = "options"
    """Column that holds the options of multiple choice: a list of texts, a mapping from letters, or lists named `text` and `label`; or the columns
    that hold one option each. The prompters show them."""

    def problem(self, row: Mapping[str, Any], id: str, source: str, where: str) -> Problem:
        """The problem in a row.

        Raises:
            UserError: a column is missing, or its cell cannot be read as text; the message names the column and `where`.
        """
        asked = cell_text(_cell(row, self.question, where), self.question, where)
        options, labels = self._options(row, where)
        reference = "" if self.answer is None else self._reference(row, self.answer, options, labels, where)
        used = {self.question, self.answer, *([self.options] if isinstance(self.options, str) else self.options)}
        metadata = {column: value for column, value in row.items() if column not in used}
        return Problem(id, asked, reference, source, metadata | ({"options": options} if options is not None else {}))

    def _reference(self, row: Mapping[str, Any], column: str, options: Any, labels: Mapping[str, str], where: str) -> str:
        text = cell_text(_cell(row, column, where), column, where, role="assistant")
        if self.answer_from == "gsm8k":
            return gsm8k_answer(text, column, where)
        if self.answer_from == "boxed":
            return boxed_answer(text, column, where)
        if self.answer_from == "index":
            count = len(options) if isinstance(options, list | Mapping) else 0
            if not text.isdecimal() or int(text) >= count:
                raise UserError(f"{where}: {column!r} is {text[:40]!r}, not the number of one of {count} options, from 0; correct it or answer_from")
            return (list(options) if isinstance(options, Mapping) else string.ascii_uppercase)[int(text)]
        return labels.get(text, text)

    def _options(self, row: Mapping[str, Any], where: str) -> tuple[Any, Mapping[str, str]]:
        """The options as metadata, and the letter of each label where the table has labels of its own (`1` to `4`)."""
        if not isinstance(self.options, str):
            return [cell_text(_cell(row, column, where), column, where) for column in self.options], {}
        if self.options not in row and self.options == "options":
            return None, {}
        value = _cell(row, self.options, where)
        if isinstance(value, Mapping) and isinstance(value.get("text"), Sequence) and isinstance(value.get("label"), Sequence):
            labels = dict(zip(map(str, value["label"]), string.ascii_uppercase, strict=False))
            return list(value["text"]), labels
        return value, {}


def distinct(problems: Iterable[tuple[str, str, Problem]]) -> list[Problem]:
    """The problems of a source, each given after the source's name and its place in it, such as `line 3`.

    Raises:
        UserError: two have the same id or ask the same question; names both places.
    """
    kept: list[Problem] = []
    seen: dict[tuple[str, str], str] = {}
    for name, place, problem in problems:
        for what, key in (("id", problem.id), ("question", question_key(problem.question))):
            if (earlier := seen.setdefault((what, key), place)) != place:
                raise UserError(f"{name}, {place}: the {what} repeats that of {earlier}; remove one of the two")
        kept.append(problem)
    return kept


def take_id(row: dict[str, Any], column: str | None, otherwise: str, where: str) -> str:
    """The id in a column, which leaves the row; `otherwise` if no column is named.

    Raises:
        UserError: the cell is missing or empty.
    """
    if column is None:
        return otherwise
    if not (id := str(row.pop(column, None) or "").strip()):
        raise UserError(f"{where}: has no {column!r}; name the column that holds the id, or omit `id`")
    return id


def _cell(row: Mapping[str, Any], column: str, where: str) -> Any:
    if column not in row:
        raise UserError(f"{where}: there is no {column!r}, only {', '.join(map(repr, row)) or 'nothing'}; {suggestion(column, row)}")
    return row[column]


def suggestion(column: str, columns: Iterable[str]) -> str:
    """The column that is probably meant: one with a name of the same meaning, else one with a similar name."""
    names = {name.casefold(): name for name in reversed(list(columns))}
    meanings = next((meanings for meanings in SAME_MEANING if column.casefold() in meanings), ())
    meant = next((names[name] for name in meanings if name in names), None)
    close = [meant] if meant else [names[name] for name in difflib.get_close_matches(column.casefold(), names, n=1)]
    return f"did you mean {close[0]!r}?" if close else "name the field that holds it"
