"""Problems from a data set of the Hugging Face hub, or from a local folder in its form."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.problems.columns import Columns, suggestion
from selfimprove.problems.split import question_key
from selfimprove.problems.table import SUFFIXES
from selfimprove.records import Problem
from selfimprove.records.numbers import PositiveInt

log = logging.getLogger(__name__)


@dataclass(frozen=True, config={"extra": "forbid"})
class HubDataset(Columns):
    """Problems from a data set of the Hugging Face hub, or from a local folder of Parquet or JSON Lines files.

    Only data is read; a data set's own code is not run.
    """

    name: str
    """`owner/name` on the hub, or the path of a folder."""
    split: str = "train"
    """Split of the data set."""
    config: str | None = None
    """Configuration of the data set, if it has several."""
    limit: PositiveInt | None = None
    """Maximum number of problems, from the beginning; None for all."""
    streaming: bool = False
    """Whether to read only as many rows as `limit` takes, for data sets that are too large to download."""

    def load(self) -> list[Problem]:
        """The problems in the order of the rows, without repeated questions; the log gives their number.

        Raises:
            UserError: the data set cannot be reached, has no such split, configuration or column, is empty, or has a row without question or answer.
        """
        from datasets import load_dataset

        if self.streaming and self.limit is None:
            raise UserError(f"the data set {self.name}: streaming reads until `limit`; set it")
        self._require_files()
        try:
            table = load_dataset(self.name, self.config, split=self.split, streaming=self.streaming)
        except Exception as error:  # The library raises some twenty kinds, from the network's to the parser's.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"cannot load the data set {self.name} (split {self.split}): {reason}; check name, split and network") from error
        named = [self.question, self.answer, *([self.options] if self.options != "options" else [])]
        for column in [one for name in named if name for one in ([name] if isinstance(name, str) else name)]:
            if table.column_names and column not in table.column_names:
                shown = ", ".join(map(repr, table.column_names))
                raise UserError(f"the data set {self.name} has no column {column!r}, only {shown}; {suggestion(column, table.column_names)}")
        problems = self._problems(table)
        if not problems:
            raise UserError(f"the data set {self.name} (split {self.split}) holds no rows; choose another split")
        return problems

    def _require_files(self) -> None:
        """Refuse a single file, and a folder with a pipe or device in it, which the library would wait for."""
        folder = Path(self.name)
        if folder.suffix in SUFFIXES:
            raise UserError(f"the data set {self.name} is a file, not a name on the hub or a folder; use Table({self.name!r})")
        odd = next((file for file in folder.rglob("*") if not file.is_dir() and not file.is_file()), None) if folder.is_dir() else None
        if odd is not None:
            raise UserError(f"the data set {self.name}: {odd} is not a file; remove it")

    def _problems(self, rows: Iterable[Mapping[str, Any]]) -> list[Problem]:
        problems: dict[str, Problem] = {}
        repeated = 0
        shown = redact(self.name)
        stem = shown.rstrip("/").rsplit("/", 1)[-1]
        for number, row in enumerate(rows):
            if self.limit is not None and len(problems) == self.limit:
                break
            where = f"the data set {shown} (split {self.split}), row {number}"
            problem = self.problem(row, f"{stem}-{number}", f"hub:{shown}", where)
            if problems.setdefault(question_key(problem.question), problem) is not problem:
                repeated += 1
        if repeated:
            log.warning("%s: left out %d rows with the question of an earlier row", shown, repeated)
        return list(problems.values())
