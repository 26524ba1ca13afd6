"""A folder at a URL, through fsspec: whole objects by name, and errors that say what to do."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.storage.complete import complete_or_absent

T = TypeVar("T")

PAUSES: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)
"""Seconds between attempts at a call that fails."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Extra of this package that installs the file system of each scheme."""
BUCKETS = {*EXTRAS, "abfs", "abfss", "adl", "az"}
"""Schemes of object stores. They need no folders; asked to make one, they would create a missing bucket."""


class FileStore:
    """The folder. Names in it are relative, with `/` between their parts."""

    def __init__(self, url: str) -> None:
        """Nothing is sent to the store yet.

        Raises:
            UserError: No file system is known for the URL, its package is missing, or the URL names no folder.
        """
        self.url = url.rstrip("/")
        self._scheme = url.partition(":")[0]
        self._files, self._root = self._open()
        self._hurry = threading.Event()
        self._deadline = inf

    def __str__(self) -> str:
        return redact(self.url, self.url)

    def hurry(self, seconds: float) -> None:
        """From now on, do not repeat failing calls; start no upload after this many seconds."""
        self._deadline = time.monotonic() + seconds
        self._hurry.set()

    def read(self, name: str) -> bytes | None:
        """The content of an object; None if it does not exist."""
        try:
            content: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object in one piece. Raises FileExistsError if it is to be `new` and exists."""
        self._make_folder(name)
        self._files.pipe_file(self._path(name), content, mode="create" if new else "overwrite")

    def upload(self, file: Path, name: str) -> None:
        """Copy a file to the store."""
        if time.monotonic() > self._deadline:
            raise TimeoutError("no time was left for the rest")
        self._make_folder(name)
        self._files.put_file(str(file), self._path(name))

    def download(self, name: str, file: Path) -> None:
        """Copy an object to a file, which is complete or absent. Raises FileNotFoundError if the object does not exist."""
        with complete_or_absent(file) as half:
            self._files.get_file(self._path(name), str(half))

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._files.rm_file(self._path(name))

    def remove_folder(self, name: str) -> None:
        """Remove all objects of a folder, if there are any."""
        with suppress(FileNotFoundError):
            self._files.rm(self._path(name), recursive=True)

    def names(self) -> set[str]:
        """Names of the objects and folders at the top."""
        try:
            return {str(path).rstrip("/").rpartition("/")[2] for path in self._files.ls(self._root, detail=False)}
        except FileNotFoundError:
            return set()

    def at_once(self, what: Callable[[], T]) -> T:
        """The result of a call to the store, tried once.

        Raises:
            UserError: the call failed.
        """
        try:
            return what()
        except (UserError, FileExistsError, ImportError):
            raise
        # The file systems have no exception in common.
        except Exception as error:
            raise UserError(f"{self} cannot be used ({self.reason(error)}); fix that, or use another --run-dir") from error

    def patiently(self, what: Callable[[], T]) -> T:
        """The result of a call to the store. A failing call is repeated for some minutes; then its last error is raised."""
        for pause in PAUSES:
            try:
                return what()
            except (UserError, FileNotFoundError):
                raise
            except Exception:
                if self._hurry.wait(pause):
                    break
        return what()

    def reason(self, error: Exception) -> str:
        """An error of the file system in one line, without the secrets of the URL: file systems repeat parts of it."""
        return redact(" ".join(f"{type(error).__name__}: {error}".split()), self.url)[:300]

    def _open(self) -> tuple[Any, str]:
        from fsspec import available_protocols
        from fsspec.core import url_to_fs

        if self._scheme not in available_protocols():
            close = difflib.get_close_matches(self._scheme, [*BUCKETS, "memory"], n=1)
            hint = f"did you mean {close[0]}://?" if close else "s3://, gs:// and az:// are supported, among others"
            raise UserError(f"{self}: no file system is known for {self._scheme}://; {hint}")
        try:
            files, root = self.at_once(lambda: url_to_fs(self.url, use_listings_cache=False))
        except ImportError as error:
            extra = EXTRAS.get(self._scheme)
            how = f'pip install "selfimprove[{extra}]"' if extra else self.reason(error)
            raise UserError(f"{self}: the package that reads {self._scheme}:// is not installed: {how}") from error
        if self._scheme in BUCKETS and "/" not in root.strip("/"):
            raise UserError(f"{self} names no folder; give one, such as {self._scheme}://{root.strip('/') or 'bucket'}/first")
        return files, root.rstrip("/")

    def _make_folder(self, name: str) -> None:
        if self._scheme not in BUCKETS:
            self._files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
