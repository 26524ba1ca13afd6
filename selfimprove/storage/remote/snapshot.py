"""The content of a folder that is being written to, as it was at one moment."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds since 1970: they distinguish two versions of a file."""
State = tuple[dict[str, Stamp], dict[str, str]]
"""Files with their stamps and links with their targets, by name within the folder."""


def scan(folder: Path, logs: bool = True) -> State:
    """The files and links in a folder, with or without its `logs`. Incomplete files have names that begin with a dot; they are left out."""
    files: dict[str, Stamp] = {}
    links: dict[str, str] = {}
    root = str(folder)
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and (logs or place != root or name != "logs")]
        for path in (os.path.join(place, name) for name in (*folders, *names) if not name.startswith(".")):
            # A file may be removed at any moment.
            with suppress(FileNotFoundError):
                found = os.lstat(path)
                if stat.S_ISLNK(found.st_mode):
                    links[path[len(root) + 1 :]] = os.readlink(path)
                elif stat.S_ISREG(found.st_mode):
                    files[path[len(root) + 1 :]] = (found.st_size, found.st_mtime_ns)
    return files, links


def stable_scan(folder: Path) -> State | None:
    """The state of the folder, without its logs, at one moment: two scans in a row agree on it. None while it changes too fast."""
    scans = (scan(folder, logs=False) for _ in range(11))
    return next((now for before, now in pairwise(scans) if now == before), None)
