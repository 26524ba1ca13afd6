"""One writer for a run folder at a time: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
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
"""The file of a run folder that is locked while a process writes there."""
_held: set[Path] = set()
"""Folders that this process has locked: such a lock keeps out other processes only."""


class BeingWritten(UserError):
    """Another run writes there."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes into a run folder; this one unless told."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    since: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S"))
    """In the local time of its host."""

    def refuse(self, place: object) -> BeingWritten:
        """The error for another one that would write into `place`."""
        who = f"process {self.process} on host {self.host} since {self.since}"
        return BeingWritten(f"{place} is being written by {who}; wait for its end, or use another --run-dir")


_adapter = TypeAdapter(Writer)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into the folder, which is made where it is missing.

    The lock is one of POSIX records: a child does not inherit it, and the kernel ends it with the process, so that none is ever stale. Where the
    file system knows no locks, nobody is kept out.

    Raises:
        BeingWritten: another process has it.
    """
    folder = folder.resolve()
    if folder in _held:
        raise Writer().refuse(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _take(folder)
    _held.add(folder)
    try:
        yield
    finally:
        _held.discard(folder)
        # Before it is unlocked: who waits for this file then finds that it is gone and takes another.
        (folder / LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        if new:
            with suppress(OSError):
                folder.rmdir()


def _take(folder: Path) -> int:
    """The descriptor that holds the lock."""
    file = folder / LOCK
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            noted = os.read(descriptor, 4096)
            os.close(descriptor)
            raise _writer(noted).refuse(folder) from error
        except OSError:
            return descriptor
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == file.stat().st_ino:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _adapter.dump_json(Writer()))
                return descriptor
        os.close(descriptor)


def _writer(noted: bytes) -> Writer:
    try:
        return _adapter.validate_json(noted)
    except ValueError:
        # It has the lock and has not said yet who it is.
        return Writer(process=0)
