"""One writer for a run at a URL at a time: a note there that its writer renews, and that others take over once nobody does."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.storage.lock import Writer
from selfimprove.storage.remote.file_store import Remote

NOTE = "lease.json"
BEAT = 10.0
"""Seconds between two renewals."""
SILENCE = 60.0
"""A lease that has not been renewed for so many seconds belongs to nobody."""


@dataclass(frozen=True, slots=True)
class _Note:
    writer: Writer = field(default_factory=Writer)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    beat: int = 0
    """Grows with every renewal."""
    at: float = field(default_factory=time.time)
    """Seconds since 1970 at the last renewal, by the writer's clock."""


_adapter = TypeAdapter(_Note)


class Lease:
    """This process's right to write at a URL, from `take` to `release`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._note = _Note()
        self._ended = threading.Event()
        self._renewing = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def take(self) -> None:
        """Begin to write. Where another one might still be writing it is watched, for `SILENCE` at most.

        Raises:
            BeingWritten: another one renews its lease.
        """
        known = self._read()
        if known is None:
            with suppress(FileExistsError):
                self._write(new=True)
                self._thread.start()
                return
            known = self._read()
        begin = time.monotonic()
        while known and not _ended(known) and time.monotonic() < begin + SILENCE:
            time.sleep(BEAT / 5)
            if (now := self._read()) and (now.token, now.beat) != (known.token, known.beat):
                raise now.writer.refuse(self._remote)
            known = now
        self._write()
        self._thread.start()

    def hold(self) -> None:
        """Renew it.

        Raises:
            UserError: another one has taken it over, as may happen after a time without contact; nothing may be written any more.
        """
        with self._renewing:
            if (found := self._read()) is None or found.token != self._note.token:
                other = f"process {found.writer.process} on host {found.writer.host} has taken over" if found else "its lease.json is gone"
                raise UserError(f"{self._remote} is written by this run no more: {other}; the same command goes on from what is there")
            self._note = replace(self._note, beat=self._note.beat + 1, at=time.time())
            self._write()

    def release(self) -> None:
        """Leave it to others; what fails is left to their patience."""
        self._ended.set()
        self._thread.join()
        with suppress(Exception):
            self.hold()
            self._remote.remove(NOTE)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            # Who writes next holds it first, and meets what went wrong here.
            with suppress(Exception):
                self.hold()

    def _read(self) -> _Note | None:
        content = self._remote.read(NOTE)
        if content is None:
            return None
        try:
            return _adapter.validate_json(content)
        except ValueError:
            return _Note(Writer(process=0, host="?", since="?"), token="")

    def _write(self, new: bool = False) -> None:
        self._remote.write(NOTE, _adapter.dump_json(self._note), new=new)


def _ended(note: _Note) -> bool:
    """Whether the writer is certainly gone: a process of this machine that is no more, or one that is silent for longer than clocks differ."""
    if time.time() - note.at > 60 * SILENCE:
        return True
    writer = note.writer
    return writer.host == socket.gethostname() and (writer.process == os.getpid() or not _alive(writer.process))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
