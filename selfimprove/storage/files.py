"""Records on disk: Parquet for many, JSON for few. A file is complete or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.storage.complete import complete_or_absent
from selfimprove.storage.hashes import keep_hash, require_unchanged

T = TypeVar("T")


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def plain(value: Any) -> Any:
    """A record as JSON data."""
    return _adapter(type(value)).dump_python(value, mode="json")


def write_json(path: Path, value: Any, *, hashed: bool = True) -> None:
    """Write a record, or plain JSON data, under a temporary name and rename it. `hashed` is False for a file that changes later."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    with complete_or_absent(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
        if hashed:
            keep_hash(path, temporary)


def read_json(path: Path, kind: type[T]) -> T:
    """A record as `write_json` wrote it.

    Raises:
        Damaged: The file has changed since it was written.
        UserError: The file does not hold such a record.
    """
    require_unchanged(path)
    try:
        value: T = _adapter(kind).validate_json(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} does not hold a {kind.__name__}: {_first(error)}; remove it to make it again") from error
    return value


def write_records(path: Path, records: Sequence[Any], kind: type[Any]) -> None:
    """Write records of one kind as a Parquet file that `datasets.load_dataset("parquet", data_files=…)` opens."""
    from datasets import Features
    from pyarrow import Table, parquet

    table = Table.from_pylist([_adapter(kind).dump_python(record, mode="json") for record in records])
    with complete_or_absent(path) as temporary:
        # The schema that a Dataset would have, without the fingerprint that making one computes.
        parquet.write_table(table.cast(Features.from_arrow_schema(table.schema).arrow_schema), temporary)
        # The file never changes again, and forks of a run share it.
        temporary.chmod(0o444)
        keep_hash(path, temporary)


def read_records(path: Path, kind: type[T]) -> list[T]:
    """The records of a Parquet file that `write_records` wrote.

    Raises:
        Damaged: The file has changed since it was written.
        UserError: The file holds something else.
    """
    from pyarrow import ArrowException, parquet

    require_unchanged(path)
    try:
        records: list[T] = _adapter(list[kind]).validate_python(parquet.read_table(path).to_pylist())  # type: ignore[valid-type]
    except FileNotFoundError:
        raise
    except (ValueError, OSError, ArrowException) as error:
        raise UserError(f"{path} does not hold {kind.__name__} rows: {_first(error)}; remove it to make it again") from error
    return records


def read_column(path: Path, name: str) -> list[Any]:
    """One column of a Parquet file, without the rest of its rows.

    Raises:
        Damaged: The file has changed since it was written.
        UserError: The file holds something else, or no such column.
    """
    from pyarrow import ArrowException, parquet

    require_unchanged(path)
    try:
        schema = parquet.read_schema(path)
        # A file without records has no columns.
        if not schema.names:
            return []
        values: list[Any] = parquet.read_table(path, columns=[name]).column(name).to_pylist()
    except FileNotFoundError:
        raise
    except (ValueError, OSError, KeyError, ArrowException) as error:
        raise UserError(f"{path} has no column {name}: {_first(error)}; remove it to make it again") from error
    return values


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
