"""Keeps a working folder and a run at a URL alike: fetched at the start, sent in the background whenever something is complete."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from selfimprove.errors import UserError
from selfimprove.storage.complete import put_link
from selfimprove.storage.remote.file_store import FileStore
from selfimprove.storage.remote.forgotten import Forgotten
from selfimprove.storage.remote.lease import NOTE, Lease
from selfimprove.storage.remote.snapshot import Stamp, scan, stable_scan

INDEX = "mirror.json"
"""Object that names the files of the run at the URL. It is written last, so that it always describes a state in which the run once was."""
IDENTITY = ".mirror"
"""File of a working folder with the folder's id."""
EVERY = 2.0
"""Seconds between two looks for new files."""
GRACE = 20.0
"""Seconds for which a run that was interrupted or has failed goes on sending its files."""
AT_ONCE = 8
"""Number of files that are copied at the same time."""
LARGE = 16_000_000
"""Size in bytes from which a file is sent alone, as file systems hold several parts of it in memory."""


@dataclass(frozen=True, slots=True)
class Index:
    """A state of a run. Objects that it does not name are not part of the run."""

    writer: str = ""
    """Id of the working folder that wrote last."""
    files: dict[str, Stamp] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


_adapter = TypeAdapter(Index)


class Mirror:
    """A working folder and its URL. The folder that wrote last is up to date or ahead; every other folder takes over the state at the URL."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self.store, self.folder = store, folder
        self._index = Index()
        self._unfetched: dict[str, Stamp] = {}
        """Files of the run that stay as they are at the URL, though the folder may not have them."""
        self._forgotten = Forgotten(store)
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._lease = Lease(store)
        self._thread = threading.Thread(target=self._watch, name="mirror", daemon=True)

    def refresh(self, choose: Callable[[Collection[str]], Iterable[str]]) -> None:
        """Bring the folder to the state at the URL; files that this folder wrote last and has not sent yet stay.

        Args:
            choose: picks the files to fetch.

        Raises:
            UserError: the URL cannot be read, or it holds something else.
        """
        index = self.store.at_once(self._read_index)
        if index is None:
            return self._require_empty()
        self._index, ahead = index, index.writer == self._identity()
        for name, stamp in scan(self.folder)[0].items():
            if not ahead and index.files.get(name) != stamp:
                (self.folder / name).unlink()
        self._fetch(choose(index.files))
        for name, target in index.links.items():
            if not (ahead and os.path.lexists(self.folder / name)):
                put_link(self.folder / name, target)
        # Some stages take an empty folder for a complete one.
        for place, _, _ in os.walk(self.folder, topdown=False):
            with suppress(OSError):
                os.rmdir(place)

    def fetch(self, folder: Path) -> None:
        """Fetch the missing files of a folder within the working folder."""
        if folder.is_relative_to(self.folder):
            inside = folder.relative_to(self.folder).as_posix() + "/"
            self._fetch(name for name in self._index.files if name.startswith(inside))

    def only_there(self) -> dict[str, int]:
        """The files of the run that are at the URL and not in the folder, with their sizes in bytes."""
        return {name: stamp[0] for name, stamp in self._unfetched.items() if not (self.folder / name).exists()}

    def forget(self, folder: Path) -> None:
        """Leave a folder that is not there any more out of the run. Its objects go after the index that does not name them is written."""
        inside = f"{folder.relative_to(self.folder).as_posix()}/"
        self._unfetched = {name: stamp for name, stamp in self._unfetched.items() if not name.startswith(inside)}
        self._forgotten.add(inside)

    def begin(self) -> None:
        """Become the writer at the URL. Call this before `refresh`, which fetches what the last writer left.

        Raises:
            UserError: another run writes there, or the URL cannot be written.
        """
        self.store.at_once(self._lease.take)

    def watch(self) -> None:
        """From now on, send new files in the background."""
        self._index = replace(self._index, writer=self._identity())
        self.store.at_once(lambda: self._write_index(self._index))
        self._thread.start()

    def settle(self) -> None:
        """Send new files and return when they are at the URL.

        Raises:
            UserError: they could not be sent, after minutes of attempts.
        """
        self.check()
        try:
            # The caller writes nothing meanwhile, and sampling ahead only now and then, so the folder comes to rest soon.
            while not self._send():
                pass
        except Exception as error:
            self._failure = error
        self.check()

    def check(self) -> None:
        """Raise UserError if files could not be sent."""
        if isinstance(self._failure, UserError):
            raise self._failure
        if self._failure:
            kept = f"nothing is lost, everything is in {self.folder}; run the same command to continue"
            raise UserError(f"{self.store} cannot be written ({self.store.reason(self._failure)}): {kept}") from self._failure

    def end(self, patiently: bool) -> None:
        """Send the rest, logs included, and free the lease. Unless `patiently`, stop sending after `GRACE` and ignore failures.

        Raises:
            UserError: like `settle`, but only if `patiently`.
        """
        self._ended.set()
        if not patiently:
            self.store.hurry(GRACE)
        watched = self._thread.ident is not None
        try:
            if watched:
                self._thread.join()
            if patiently:
                self.settle()
            elif watched and not isinstance(self._failure, UserError):
                with suppress(Exception):
                    self._send()
        finally:
            self._lease.release()

    def _watch(self) -> None:
        while not self._failure and not self._ended.wait(EVERY):
            try:
                self._send()
            # `check` raises it in the run's thread.
            except Exception as error:
                self._failure = error

    def _send(self) -> bool:
        """Bring the URL to the state of the folder: first the files, then the index. False if the folder changes too fast to have a state."""
        with self._sending:
            if (state := stable_scan(self.folder)) is None:
                return False
            files, links = state
            if self._ended.is_set():
                files |= {f"logs/{name}": stamp for name, stamp in scan(self.folder / "logs")[0].items()}
            index = Index(self._index.writer, self._unfetched | files, links)
            if index == self._index:
                self._forgotten.remove(index.files)
                return True
            new = [name for name, stamp in files.items() if self._index.files.get(name) != stamp]
            self.store.patiently(self._lease.hold)
            _side_by_side(self._upload, [name for name in new if files[name][0] < LARGE])
            for name in new:
                if files[name][0] >= LARGE:
                    self._upload(name)
            self.store.patiently(self._lease.hold)
            self.store.patiently(lambda: self._write_index(index))
            self._index = index
            self._forgotten.remove(index.files)
            return True

    def _upload(self, name: str) -> None:
        try:
            self.store.patiently(lambda: self.store.upload(self.folder / name, name))
        except FileNotFoundError:
            # The next scan misses a file that was removed meanwhile.
            if (self.folder / name).exists():
                raise

    def _fetch(self, names: Iterable[str]) -> None:
        missing = [name for name in names if not (self.folder / name).exists()]
        try:
            found = dict(zip(missing, _side_by_side(self._download, missing), strict=True))
        except Exception as error:
            raise UserError(f"{self.store} cannot be read ({self.store.reason(error)}); run the same command to fetch the rest") from error
        # An object that was removed by hand is to be made again.
        files = {name: stamp for name, stamp in self._index.files.items() if found.get(name, True)}
        self._index = replace(self._index, files=files)
        # Logs are sent at the end only; until then, those of earlier attempts stay.
        self._unfetched = {name: stamp for name, stamp in files.items() if name.startswith("logs/") or not (self.folder / name).exists()}

    def _download(self, name: str) -> bool:
        try:
            self.store.patiently(lambda: self.store.download(name, self.folder / name))
        except FileNotFoundError:
            return False
        changed = self._index.files[name][1]
        os.utime(self.folder / name, ns=(changed, changed))
        return True

    def _require_empty(self) -> None:
        if self.store.at_once(self.store.names) - {NOTE}:
            raise UserError(f"{self.store} is not empty and holds no run; use another --run-dir")
        if (self.folder / "workflow.json").exists():
            raise UserError(f"{self.store} no longer holds a run, but {self.folder} keeps a copy of one: remove that too")

    def _read_index(self) -> Index | None:
        content = self.store.read(INDEX)
        return None if content is None else _adapter.validate_json(content)

    def _write_index(self, index: Index) -> None:
        self.store.write(INDEX, _adapter.dump_json(index))

    def _identity(self) -> str:
        file = self.folder / IDENTITY
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(uuid.uuid4().hex)
        return file.read_text()


def _side_by_side(work: Callable[[str], bool | None], names: list[str]) -> list[bool | None]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, names))
