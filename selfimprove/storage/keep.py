"""Results that are made once: what a stage has completed is read, never made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from selfimprove.storage.files import read_json, read_records, write_json, write_records
from selfimprove.storage.manifest import require_same

T = TypeVar("T")


def keep(file: Path, kind: type[T], made_from: Mapping[str, str], make: Callable[[], T]) -> T:
    """The result in `file`; where the file is absent, `make` makes it.

    The file is the marker of completeness: it is written last and in one step, so `make` may write other files beside it first. A manifest next to
    it says what the result was made from.

    Args:
        file: A `.json` file, or a `.parquet` file where `kind` is a list of records.
        kind: Type of the result.
        made_from: Digests of all that the result depends on, by name.
        make: Makes the result.

    Raises:
        UserError: The file, or an attempt at it, was made from something else; the message names what differs.
    """
    require_same(file.with_name(f"{file.stem}.manifest.json"), made_from)
    records: Any = get_args(kind)[0] if file.suffix == ".parquet" else None
    if not file.exists():
        made = make()
        if records:
            write_records(file, cast("list[Any]", made), records)
        else:
            write_json(file, made)
    return cast("T", read_records(file, records)) if records else read_json(file, kind)
