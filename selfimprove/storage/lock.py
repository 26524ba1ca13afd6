"""One writer at a time for a run folder: a lock that ends with its process."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from selfimprove.errors import UserError

LOCK = ".lock"
"""File of a run folder that is locked while a process writes there."""


class BeingWritten(UserError):
    """Another process writes there."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes into a run folder; by default, this one."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    since: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S"))
    """Start of the writing, in the local time of the host."""

    def refuse(self, place: object) -> BeingWritten:
        """The error for a second process that wants to write to `place`."""
        who = f"process {self.process} on host {self.host} since {self.since}"
        return BeingWritten(f"{place} is being written by {who}; wait until it ends, or use another --run-dir")


_adapter = TypeAdapter(Writer)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep everybody else from writing into the folder, which is created if it is missing.

    The kernel releases the lock when its process ends, however it ends, and a child does not inherit it. On a file system without locks, nobody is
    kept out.

    Raises:
        BeingWritten: another process has the lock, or this process has it already.
    """
    from filelock import FileLock, Timeout

    folder = folder.resolve()
    new, file = not folder.exists(), folder / LOCK
    folder.mkdir(parents=True, exist_ok=True)
    # Not at once: a lock file that its last holder removes at this moment is replaced by another.
    lock = FileLock(file, timeout=0.1, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire()
        file.write_bytes(_adapter.dump_json(Writer()))
    except Timeout as error:
        raise _writer(file).refuse(folder) from error
    except OSError:
        pass
    try:
        yield
    finally:
        # Before the release: otherwise the next holder's file could be removed.
        file.unlink(missing_ok=True)
        lock.release()
        if new:
            with suppress(OSError):
                folder.rmdir()


def being_written(folder: Path) -> bool:
    """Whether another process of this machine writes into the folder at this moment."""
    from filelock import FileLock, Timeout

    if not (file := folder / LOCK).exists():
        return False
    lock = FileLock(file, timeout=0, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return _writer(file).process != os.getpid()
    except OSError:
        return False
    lock.release()
    return False


def _writer(file: Path) -> Writer:
    try:
        return _adapter.validate_json(file.read_bytes())
    except (OSError, ValueError):
        # It has the lock but has not written its name yet.
        return Writer(process=0)
