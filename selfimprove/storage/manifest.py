"""What a stage's output was made from, so that it is never taken for the output of something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.storage.files import plain, read_json, write_json


def digest(values: Iterable[Any]) -> str:
    """SHA-256 over records or JSON data, one after the other."""
    found = hashlib.sha256()
    for value in values:
        found.update(json.dumps(plain(value), sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return found.hexdigest()


def require_same(file: Path, made_from: Mapping[str, str]) -> None:
    """Write the manifest of a stage, or compare with the one that an earlier attempt left.

    Raises:
        UserError: what is there was made from something else; names what differs.
    """
    if not file.exists():
        write_json(file, dict(made_from))
        return
    known = read_json(file, dict[str, str])
    changed = sorted(name for name in known.keys() | made_from.keys() if known.get(name) != made_from.get(name))
    if changed:
        raise UserError(
            f"{file.parent} was made from other {', '.join(changed)} than those of this run; start again in another --run-dir, "
            f"or remove the folder to have it made again"
        )
