"""Opens a run folder, for reading or for writing, on this machine or at a URL. A run at a URL is worked on in a copy in the cache."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selfimprove.checkpoints.base_models import model_cache
from selfimprove.storage.lock import BeingWritten, locked
from selfimprove.storage.remote.file_store import FileStore
from selfimprove.storage.remote.mirror import Mirror
from selfimprove.storage.run_folder import RunFolder

CHECKPOINT = re.compile(r"(generation-\d+)/(.*/)?checkpoint/")
"""Matches the file of a checkpoint that a generation made."""


class RemoteRun(RunFolder):
    """A run at a URL. `root` is the working folder on this machine."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror.folder)
        self._mirror = mirror

    def __str__(self) -> str:
        return str(self._mirror.store)

    def settle(self) -> None:
        """Wait until everything in the working folder is at the URL.

        Raises:
            UserError: the URL could not be written, after minutes of attempts.
        """
        self._mirror.settle()

    def check_store(self) -> None:
        """Raise UserError if the URL could not be written."""
        self._mirror.check()

    def checkpoints(self, number: int) -> dict[Path, int]:
        """As of a folder, with those that are at the URL alone."""
        found, inside = super().checkpoints(number), self.generation(number)
        sizes = Counter[Path]()
        for name, size in self._mirror.only_there().items():
            if CHECKPOINT.match(name) and name.startswith(f"{inside.name}/"):
                sizes[self.root / name.partition("/checkpoint/")[0] / "checkpoint"] += size
        return {**sizes, **found}

    def forget(self, folder: Path) -> None:
        """Let a folder that was removed here go at the URL too, once nothing there names it."""
        self._mirror.forget(folder)


@contextmanager
def writing(place: Path | str | RunFolder) -> Iterator[RunFolder]:
    """Open a run for the block to write to, and keep other processes from writing there. A run that is open already stays as it is.

    At a URL, the block starts with the files that are there, and when it ends, all files are there. Of the checkpoints, only those that a continued
    run needs are fetched.

    Raises:
        BeingWritten: another process writes there.
        UserError: the URL cannot be used.
    """
    if isinstance(place, RunFolder):
        yield place
    elif (url := _url(place)) is None:
        run = RunFolder(_path(place))
        with locked(run.root):
            yield run
    else:
        mirror = _mirror(url)
        with locked(mirror.folder):
            mirror.begin()
            well = False
            try:
                run = _fetched(mirror)
                mirror.watch()
                yield run
                well = True
            finally:
                mirror.end(patiently=well)


def reading(place: Path | str, checkpoints: str = "none") -> RunFolder:
    """Open a run to read it. For a run at a URL, files that have changed are fetched.

    Args:
        checkpoints: which checkpoints to fetch from a URL: `none`, the `champion`, or `all`.

    Raises:
        UserError: the URL cannot be used.
    """
    if (url := _url(place)) is None:
        return RunFolder(_path(place))
    mirror = _mirror(url)
    # If a run of this machine writes to the working folder, nothing is newer.
    with suppress(BeingWritten), locked(mirror.folder):
        if checkpoints == "champion":
            return _fetched(mirror)
        mirror.refresh(lambda names: names if checkpoints == "all" else [name for name in names if not CHECKPOINT.search(name)])
    return RemoteRun(mirror)


def _fetched(mirror: Mirror) -> RemoteRun:
    """The run with the files needed to continue it: all except the checkpoints of complete generations, but including the champion."""

    def unfinished(names: Collection[str]) -> Iterator[str]:
        made = ((name, CHECKPOINT.match(name)) for name in names)
        return (name for name, found in made if not (found and f"{found[1]}/report.json" in names))

    mirror.refresh(unfinished)
    run = RemoteRun(mirror)
    if reports := run.reports():
        # With `overlap` the champion before the last may still have to sample.
        for report in reports[-2:] if run.settings().get("overlap") else reports[-1:]:
            mirror.fetch(Path(report.kept.path))
    return run


def _mirror(url: str) -> Mirror:
    store = FileStore(url)
    # As it is shown: no secret gets into the folder's name, and another key leads to the same folder.
    shown = str(store)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", shown.rpartition("/")[2]).strip("-.") or "run"
    return Mirror(store, (model_cache() / "runs" / f"{name}-{hashlib.sha256(shown.encode()).hexdigest()[:12]}").resolve())


def _url(place: Path | str) -> str | None:
    """The URL; None for a place on this machine."""
    return place if isinstance(place, str) and "://" in place and not place.startswith("file://") else None


def _path(place: Path | str) -> Path:
    return Path(str(place).removeprefix("file://"))
