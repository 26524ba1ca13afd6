"""Manifests: digests of what a result was made from, so that it is never mistaken for another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfimprove.errors import UserError
from selfimprove.storage.files import plain, read_json, write_json

SAMPLING = "sampling.manifest.json"
"""Says what the traces of a stage were made from."""


def digest(values: Iterable[Any]) -> str:
    """SHA-256 over a sequence of records or JSON data."""
    found = hashlib.sha256()
    for value in values:
        found.update(json.dumps(plain(value), sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return found.hexdigest()


def require_same(file: Path, made_from: Mapping[str, str]) -> None:
    """Write a manifest, or compare with the one that an earlier attempt left.

    Raises:
        UserError: The earlier attempt was made from something else; the message names what differs.
    """
    if not file.exists():
        write_json(file, dict(made_from))
        return
    known = read_json(file, dict[str, str])
    changed = sorted(name for name in known.keys() | made_from.keys() if known.get(name) != made_from.get(name))
    if changed:
        raise UserError(
            f"{file.parent} was made with different {', '.join(changed)} than this run has; use another --run-dir, "
            f"or remove the folder to make it again"
        )
