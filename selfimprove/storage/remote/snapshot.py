"""What is in a folder that is being written into: one state in which it was."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

Stamp = tuple[int, int]
"""Bytes, and nanoseconds since 1970 at the last change: what tells two versions of a file apart."""
State = tuple[dict[str, Stamp], dict[str, str]]
"""Files, and links with what they point to, by their names in a folder."""


def scan(folder: Path, logs: bool = True) -> State:
    """The files and the links in a folder, with or without its `logs`; what is not complete has a name that begins with a dot and is left out."""
    files: dict[str, Stamp] = {}
    links: dict[str, str] = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        # What is removed meanwhile is not there.
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / inside) as entries:
            for entry in entries:
                name = inside + entry.name
                if entry.name.startswith(".") or (name == "logs" and not logs):
                    continue
                with suppress(FileNotFoundError):
                    if entry.is_symlink():
                        links[name] = os.readlink(entry.path)
                    elif entry.is_dir():
                        waiting.append(f"{name}/")
                    else:
                        stat = entry.stat()
                        files[name] = (stat.st_size, stat.st_mtime_ns)
    return files, links


def stable_scan(folder: Path) -> State | None:
    """The state of the folder, less its logs, at one moment: what two scans in a row agree on. None while it changes too fast."""
    before = scan(folder, logs=False)
    for _ in range(10):
        if (now := scan(folder, logs=False)) == before:
            return now
        before = now
    return None
