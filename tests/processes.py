"""Finds the processes that a test started, however deep, by a mark in their environment."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

NAME = "SELFIMPROVE_TEST_MARK"


def mark() -> dict[str, str]:
    """This process's environment with a mark of its own, for a child that hands it on to its children."""
    return {**os.environ, NAME: uuid.uuid4().hex}


def alive(environment: dict[str, str]) -> dict[int, str]:
    """The processes that carry the mark of this environment, by id, with their command lines."""
    wanted = f"{NAME}={environment[NAME]}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0") and "Z" not in (folder / "stat").read_text().rpartition(")")[2].split()[:1]:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def left_after(seconds: float, environment: dict[str, str]) -> dict[int, str]:
    """The marked processes that are still there after so long; none as soon as there are none."""
    deadline = time.monotonic() + seconds
    while (left := alive(environment)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
