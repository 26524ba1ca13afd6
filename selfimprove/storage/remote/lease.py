"""One writer at a time for a run at a URL: a file there that its writer renews, and that others take over when it is no longer renewed."""

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
from selfimprove.storage.remote.file_store import FileStore

NOTE = "lease.json"
BEAT = 10.0
"""Seconds between two renewals."""
SILENCE = 60.0
"""Seconds without renewal after which a lease is free."""


@dataclass(frozen=True, slots=True)
class _Note:
    writer: Writer = field(default_factory=Writer)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    beat: int = 0
    """Number of renewals."""
    at: float = field(default_factory=time.time)
    """Time of the last renewal in seconds since 1970, by the writer's clock."""


_adapter = TypeAdapter(_Note)


class Lease:
    """This process's right to write at a URL, from `take` to `release`."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._note = _Note()
        self._ended = threading.Event()
        self._renewing = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def take(self) -> None:
        """Take the lease. If another process might still hold it, watch its note for `SILENCE` at most.

        Raises:
            BeingWritten: another process renews its lease.
        """
        known = self._read()
        if known is None:
            try:
                self._write(new=True)
            except FileExistsError:
                known = self._read()
        deadline = time.monotonic() + SILENCE
        while known and not _abandoned(known) and time.monotonic() < deadline:
            time.sleep(BEAT / 5)
            if (now := self._read()) and (now.token, now.beat) != (known.token, known.beat):
                raise now.writer.refuse(self._store)
            known = now
        self._write()
        self._thread.start()

    def hold(self) -> None:
        """Renew the lease.

        Raises:
            UserError: another process has taken it over, as may happen after a time without contact; this process must not write any more.
        """
        with self._renewing:
            if (found := self._read()) is None or found.token != self._note.token:
                other = f"process {found.writer.process} on host {found.writer.host} has taken over" if found else "its lease.json is gone"
                raise UserError(f"{self._store} is no longer written by this run: {other}; run the same command to continue from what is there")
            self._note = replace(self._note, beat=self._note.beat + 1, at=time.time())
            self._write()

    def release(self) -> None:
        """Free the lease. If that fails, others have to wait until it counts as silent."""
        self._ended.set()
        self._thread.join()
        with suppress(Exception):
            self.hold()
            self._store.remove(NOTE)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            # Whoever writes next calls `hold` first and meets the same error.
            with suppress(Exception):
                self.hold()

    def _read(self) -> _Note | None:
        content = self._store.read(NOTE)
        if content is None:
            return None
        try:
            return _adapter.validate_json(content)
        except ValueError:
            return _Note(Writer(process=0, host="?", since="?"), token="")

    def _write(self, new: bool = False) -> None:
        self._store.write(NOTE, _adapter.dump_json(self._note), new=new)


def _abandoned(note: _Note) -> bool:
    """Whether the writer is certainly gone: a dead process of this machine, or one silent for longer than clocks differ."""
    if time.time() - note.at > 60 * SILENCE:
        return True
    writer = note.writer
    if writer.host != socket.gethostname():
        return False
    with suppress(PermissionError):
        try:
            os.kill(writer.process, 0)
        except ProcessLookupError:
            return True
    return writer.process == os.getpid()
