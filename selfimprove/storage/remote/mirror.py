"""Keeps a working folder and a run at a URL alike: fetched at the start, sent in the background whenever something is complete."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.storage.files import put_link
from selfimprove.storage.remote.file_store import Remote, reason
from selfimprove.storage.remote.lease import NOTE, Lease
from selfimprove.storage.remote.snapshot import Stamp, scan, stable_scan

INDEX = "mirror.json"
"""The object that says what the run at the URL is made of: written last, so that it always speaks of a state in which the run once was."""
IDENTITY = ".mirror"
"""The file of a working folder by which it knows again what it wrote."""
EVERY = 2.0
"""Seconds between two looks for what is new."""
GRACE = 20.0
"""Seconds for which a run that was interrupted, or that failed, goes on sending what it has."""
AT_ONCE = 8
"""Objects that are copied side by side."""
LARGE = 16_000_000
"""Bytes from which a file is sent alone: file systems hold several parts of it in memory."""


@dataclass(frozen=True, slots=True)
class Index:
    """A state of a run. What it does not name is no part of it."""

    writer: str = ""
    """The identity of the working folder that wrote last."""
    files: dict[str, Stamp] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


_adapter = TypeAdapter(Index)


class Mirror:
    """A working folder and its URL. The one that wrote last is ahead or alike; for any other folder what is at the URL is the truth."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote, self.folder = remote, folder
        self._index = Index()
        self._seen: set[str] = set()
        """What this process has found in the folder: what is missing of it was removed, what is missing of the rest was never fetched."""
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._deadline = inf
        """When no more objects are begun, by the monotonic clock."""
        self._failure: Exception | None = None
        self._lease: Lease | None = None
        self._thread = threading.Thread(target=self._watch, name="mirror", daemon=True)

    def refresh(self, choose: Callable[[Collection[str]], Iterable[str]]) -> None:
        """Bring the folder to what is at the URL; what this folder wrote last and has not sent yet stays.

        Args:
            choose: which of these files are wanted.

        Raises:
            UserError: the URL cannot be read, or something else lies there.
        """
        index = self.remote.at_once(self._read_index)
        if index is None:
            return self._require_nothing_else()
        self._index, ahead = index, index.writer == self._identity()
        for name, stamp in scan(self.folder)[0].items():
            if not ahead and index.files.get(name) != stamp:
                (self.folder / name).unlink()
        self._fetch(choose(index.files))
        for name, target in index.links.items():
            if not (ahead and os.path.lexists(self.folder / name)):
                put_link(self.folder / name, target)
        _remove_empty(self.folder)

    def fetch(self, folder: Path) -> None:
        """Fetch what is missing of a folder within the working folder."""
        if folder.is_relative_to(self.folder):
            inside = folder.relative_to(self.folder).as_posix() + "/"
            self._fetch(name for name in self._index.files if name.startswith(inside))

    def begin(self) -> None:
        """Become the one that writes at the URL. To be called before `refresh`, which shows what the last one left.

        Raises:
            UserError: another run writes there, or nothing can be written there.
        """
        self._lease = Lease(self.remote)
        self.remote.at_once(self._lease.take)

    def watch(self) -> None:
        """Send what is new in the background, from now on."""
        self._index = replace(self._index, writer=self._identity())
        self.remote.at_once(self._write_index)
        self._thread.start()

    def settle(self) -> None:
        """Send what is new, and come back when it is there.

        Raises:
            UserError: it could not be sent, though it was tried for minutes.
        """
        self.require_well()
        try:
            # Who waits here writes nothing meanwhile, so that it is not for long.
            while not self._send():
                pass
        except Exception as error:
            self._failure = error
        self.require_well()

    def require_well(self) -> None:
        """Raise UserError where something could not be sent."""
        if isinstance(self._failure, UserError):
            raise self._failure
        if self._failure:
            kept = f"nothing is lost, it is in {self.folder}; the same command goes on from there"
            raise UserError(f"{self.remote} cannot be written ({reason(self._failure)}): {kept}") from self._failure

    def end(self, patiently: bool) -> None:
        """Send the rest, logs included, and let others write. Unless `patiently`, that is done for a short while, and what fails is left.

        Raises:
            UserError: as `settle`; never unless `patiently`.
        """
        self._ended.set()
        if not patiently:
            self.remote.hurry()
            self._deadline = time.monotonic() + GRACE
        try:
            if self._thread.is_alive():
                self._thread.join()
            if patiently:
                self.settle()
            elif self._index.writer and not isinstance(self._failure, UserError):
                with suppress(Exception):
                    self._send()
        finally:
            if self._lease:
                self._lease.release()

    def _watch(self) -> None:
        while not self._failure and not self._ended.wait(EVERY):
            try:
                self._send()
            # It is raised where the run next asks.
            except Exception as error:
                self._failure = error

    def _send(self) -> bool:
        """Make the URL's state that of the folder: first what it is made of, then the index. False where the folder has no state just now."""
        with self._sending:
            if (state := stable_scan(self.folder)) is None:
                return False
            files, links = state
            if self._ended.is_set():
                files |= {f"logs/{name}": stamp for name, stamp in scan(self.folder / "logs")[0].items()}
            index = self._index
            gone = self._seen - files.keys()
            new = [name for name, stamp in files.items() if index.files.get(name) != stamp]
            self._seen |= files.keys()
            if not new and not gone and links == index.links:
                return True
            self._hold()
            _side_by_side(self._upload, [name for name in new if files[name][0] < LARGE])
            for name in new:
                if files[name][0] >= LARGE:
                    self._upload(name)
            self._hold()
            kept = {name: stamp for name, stamp in index.files.items() if name not in gone}
            self._index = Index(index.writer, kept | files, links)
            self.remote.patiently(self._write_index)
            self._seen -= gone
            return True

    def _hold(self) -> None:
        if self._lease:
            self.remote.patiently(self._lease.hold)

    def _upload(self, name: str) -> None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("there was no time left for the rest")
        try:
            self.remote.patiently(lambda: self.remote.upload(self.folder / name, name))
        except FileNotFoundError:
            # One that was removed meanwhile is found missing at the next look.
            if (self.folder / name).exists():
                raise

    def _fetch(self, names: Iterable[str]) -> None:
        try:
            _side_by_side(self._download, [name for name in names if not (self.folder / name).exists()])
        except Exception as error:
            raise UserError(f"{self.remote} cannot be read ({reason(error)}); the same command fetches the rest") from error

    def _download(self, name: str) -> None:
        try:
            self.remote.patiently(lambda: self.remote.download(name, self.folder / name))
        except FileNotFoundError:
            # Who removed an object by hand wants it to be made again.
            del self._index.files[name]
        else:
            changed = self._index.files[name][1]
            os.utime(self.folder / name, ns=(changed, changed))

    def _require_nothing_else(self) -> None:
        if self.remote.at_once(self.remote.names) - {NOTE}:
            raise UserError(f"{self.remote} is not empty and holds no run; use another --run-dir")
        if (self.folder / "workflow.json").exists():
            raise UserError(f"{self.remote} holds no run any more, but {self.folder} keeps what was fetched of it: remove that too")

    def _read_index(self) -> Index | None:
        content = self.remote.read(INDEX)
        return None if content is None else _adapter.validate_json(content)

    def _write_index(self) -> None:
        self.remote.write(INDEX, _adapter.dump_json(self._index))

    def _identity(self) -> str:
        file = self.folder / IDENTITY
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(uuid.uuid4().hex)
        return file.read_text()


def _side_by_side(work: Callable[[str], None], names: list[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, names))


def _remove_empty(folder: Path) -> None:
    """Remove the folders in which nothing is left: some stages take a folder that is there for one that is complete."""
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(place)
