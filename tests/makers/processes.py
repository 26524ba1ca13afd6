"""Finds all descendants of a test's process. Meanwhile this process adopts orphans, so that none escapes."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


class Started:
    """Processes started after this object was made."""

    def __init__(self) -> None:
        self._before = _descendants()

    def alive(self) -> set[int]:
        return _descendants() - self._before

    def left_after(self, seconds: float) -> set[str]:
        """Wait up to `seconds` for them to end; describe those that are left."""
        deadline = time.monotonic() + seconds
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return {_describe(pid) for pid in left}


@contextmanager
def watching() -> Iterator[Started]:
    """The processes that the block starts; those left at its end are killed."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    started = Started()
    try:
        yield started
    finally:
        while left := started.alive():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def _describe(pid: int) -> str:
    with suppress(OSError):
        folder = Path("/proc") / str(pid)
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        return f"{pid} {state}, child of {parent}, in {(folder / 'wchan').read_text()}: {line[:500]}"
    return f"{pid}, ended by now"


def _descendants() -> set[int]:
    """All live descendants of this process."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end meanwhile.
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(folder.name))
    found, unseen = set[int](), [os.getpid()]
    while unseen:
        below = children.get(unseen.pop(), [])
        found.update(below)
        unseen += below
    return found
