"""Problems from a table: a file, or rows in memory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Any

from pydantic import field_validator
from pydantic.dataclasses import dataclass

from selfimprove.errors import UserError
from selfimprove.problems.columns import Columns, distinct, take_id
from selfimprove.problems.jsonl import Jsonl
from selfimprove.records import Problem
from selfimprove.records.foreign_text import parse_json, read_text

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


class InMemory:
    """Rows in memory. A workflow is described by their number and digest, not by all of them."""

    __slots__ = ("digest", "rows")

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = tuple(rows)
        self.digest = hashlib.sha256(json.dumps([repr(row) for row in self.rows]).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{len(self.rows)} rows in memory, SHA-256 {self.digest[:16]}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InMemory) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __getstate__(self) -> Any:
        return self.rows

    def __setstate__(self, rows: Any) -> None:
        self.__init__(rows)  # type: ignore[misc]


@dataclass(frozen=True, config={"extra": "forbid", "arbitrary_types_allowed": True})
class Table(Columns):
    """Problems from a file, or from rows in memory.

    A file is CSV or TSV with a header line, JSON Lines, one JSON array of objects, or Parquet; its name tells which. Rows in memory are a list of
    dicts or of `Problem`s, a pandas `DataFrame`, an Arrow table, or a `datasets.Dataset`.
    """

    rows: Any
    """Path of the file, or the rows."""
    _: KW_ONLY
    id: str | None = None
    """Column that holds the id; None numbers the problems by file and row: `train-17`."""

    @field_validator("rows")
    @classmethod
    def _readable(cls, rows: Any) -> Any:
        return rows if isinstance(rows, str | Path | InMemory) else InMemory(_in_memory(rows))

    def load(self) -> list[Problem]:
        """The problems in the order of the rows.

        Raises:
            UserError: the file cannot be read or holds no problems; or a row lacks the question or answer, or repeats an id or question. Names the
                file and the row.
        """
        if isinstance(self.rows, InMemory):
            return self._problems("row", "table", "rows in memory", enumerate(self.rows.rows, start=1))
        path = Path(self.rows)
        if path.suffix == ".jsonl":
            own = {name: getattr(self, name) for name in ("id", *Columns.__dataclass_fields__)}
            return Jsonl(path, **own).load()
        if path.suffix not in SUFFIXES:
            raise UserError(f"{path}: is not a table by its name; it must end in {', '.join(SUFFIXES)}")
        return self._problems(path.stem, f"{path.suffix[1:]}:{path.name}", str(path), _file_rows(path))

    def _problems(self, stem: str, source: str, name: str, rows: Iterable[tuple[int, Any]]) -> list[Problem]:
        unit = "line" if source.startswith(("csv:", "tsv:")) else "row"
        problems = distinct(
            (name, f"{unit} {number}", row if isinstance(row, Problem) else self._of_row(row, f"{stem}-{number}", source, f"{name}, {unit} {number}"))
            for number, row in rows
        )
        if not problems:
            raise UserError(f"{name}: there are no rows; give at least one problem")
        return problems

    def _of_row(self, row: Any, id: str, source: str, where: str) -> Problem:
        if not isinstance(row, Mapping):
            raise UserError(f"{where}: is not a row with named columns but a {type(row).__name__}; write {{{self.question!r}: …, …}}")
        row = dict(row)
        return self.problem(row, take_id(row, self.id, id, where), source, where)


def _in_memory(rows: Any) -> Sequence[Any]:
    """The rows of a list, a pandas frame, an Arrow table or a data set. Raises ValueError for anything else."""
    if isinstance(rows, list | tuple):
        return rows
    if hasattr(rows, "to_pylist"):
        return rows.to_pylist()  # type: ignore[no-any-return]
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        # NumPy's arrays and numbers become Python's.
        return [{name: one.tolist() if hasattr(one, "tolist") else one for name, one in row.items()} for row in rows.to_dict("records")]
    if hasattr(rows, "to_list") and hasattr(rows, "column_names"):
        return rows.to_list()  # type: ignore[no-any-return]
    raise ValueError(f"a path, a list of dicts, a pandas frame, an Arrow table or a data set is needed, not {type(rows).__name__}")


def _file_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """The rows of a file, each with its number; in CSV and TSV the number of the line that it ends in."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            with path.open("rb") as file:
                yield from enumerate(pyarrow.parquet.read_table(file).to_pylist(), start=1)
        elif path.suffix == ".json":
            rows = parse_json(read_text(path))
            if not isinstance(rows, list):
                raise ValueError(f"is not a JSON array but a {type(rows).__name__}")
            yield from enumerate(rows, start=1)
        else:
            reader = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"line {reader.line_num} has another number of fields than the header")
                yield reader.line_num, row
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); give the path of a file with one problem in each row") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}; correct the file") from error
