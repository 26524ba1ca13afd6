"""Records on disk: Parquet for many, JSON for few. A file is complete or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from selfimprove.errors import UserError

T = TypeVar("T")


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


@contextmanager
def complete_or_absent(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to: renamed to `path` when the block succeeds, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_link(link: Path, target: str) -> None:
    """Point a link at `target` in one step; `target` is absolute, or relative to the link's folder."""
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def plain(value: Any) -> Any:
    """A record as JSON data."""
    return _adapter(type(value)).dump_python(value, mode="json")


def write_json(path: Path, value: Any) -> None:
    """Write a record, or plain JSON data, under a temporary name and rename it."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    with complete_or_absent(path) as temporary:
        temporary.write_text(text + "\n")


def read_json(path: Path, kind: type[T]) -> T:
    """A record as `write_json` wrote it.

    Raises:
        UserError: The file does not hold such a record: it was edited, or written by another version.
    """
    try:
        value: T = _adapter(kind).validate_json(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} does not hold a {kind.__name__}: {str(error).splitlines()[0]}; remove it to make it again") from error
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


def read_records(path: Path, kind: type[T]) -> list[T]:
    """The records of a Parquet file that `write_records` wrote.

    Raises:
        UserError: The file holds something else.
    """
    from pyarrow import parquet

    try:
        records: list[T] = _adapter(list[kind]).validate_python(parquet.read_table(path).to_pylist())  # type: ignore[valid-type]
    except (ValueError, OSError) as error:
        raise UserError(f"{path} does not hold {kind.__name__} rows: {str(error).splitlines()[0]}; remove it to make it again") from error
    return records


def read_column(path: Path, name: str) -> list[Any]:
    """One column of a Parquet file, without the rest of its rows."""
    from pyarrow import parquet

    # A file without records has no columns.
    if name not in parquet.read_schema(path).names:
        return []
    values: list[Any] = parquet.read_table(path, columns=[name]).column(name).to_pylist()
    return values
