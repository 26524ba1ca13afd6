"""A run folder where the user says that it is: on this machine, or at a URL, of which it then works on a copy in the cache."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from selfimprove.checkpoints.base_models import model_cache
from selfimprove.protocols import Progress
from selfimprove.storage.lock import BeingWritten, locked
from selfimprove.storage.remote.file_store import Remote
from selfimprove.storage.remote.mirror import Mirror
from selfimprove.storage.run_folder import RunFolder

CHECKPOINT = re.compile(r"(generation-\d+)/(.*/)?checkpoint/")
"""A file of a checkpoint that some generation made."""


class RemoteRun(RunFolder):
    """A run at a URL: `root` is the folder on this machine that is worked in."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror.folder)
        self._mirror = mirror

    def __str__(self) -> str:
        return str(self._mirror.remote)

    def watched(self, progress: Progress) -> Progress:
        """The same progress, which at each stage's end waits until everything is at the URL."""
        return _Settling(progress, self._mirror)


@contextmanager
def writing(place: Path | str | RunFolder) -> Iterator[RunFolder]:
    """The run there, new or to be continued, while the block writes into it; one that is open already stays as it is.

    At a URL the block begins with what is there, and when it ends everything is there; checkpoints are fetched as far as a continued run needs them.

    Raises:
        UserError: another process writes there, or the URL cannot be used.
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
    """The run there, to be read; of one at a URL it is fetched what has changed.

    Args:
        checkpoints: which are fetched from a URL too: `none`, the `champion`, or `all`.

    Raises:
        UserError: the URL cannot be used.
    """
    if (url := _url(place)) is None:
        return RunFolder(_path(place))
    mirror = _mirror(url)
    try:
        with locked(mirror.folder):
            if checkpoints == "champion":
                return _fetched(mirror)
            mirror.refresh(lambda names: names if checkpoints == "all" else [name for name in names if not CHECKPOINT.search(name)])
    except BeingWritten:
        # A run of this machine works in that very folder: nothing is newer.
        pass
    return RemoteRun(mirror)


def _fetched(mirror: Mirror) -> RemoteRun:
    """The run with what is needed to continue it: everything but the checkpoints of complete generations, and of those the champion."""

    def unfinished(names: Collection[str]) -> Iterator[str]:
        made = ((name, CHECKPOINT.match(name)) for name in names)
        return (name for name, found in made if not (found and f"{found[1]}/report.json" in names))

    mirror.refresh(unfinished)
    run = RemoteRun(mirror)
    if reports := run.reports():
        mirror.fetch(Path(reports[-1].kept.path))
    return run


def _mirror(url: str) -> Mirror:
    remote = Remote(url)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", remote.url.rpartition("/")[2]).strip("-.") or "run"
    return Mirror(remote, (model_cache() / "runs" / f"{name}-{hashlib.sha256(remote.url.encode()).hexdigest()[:12]}").resolve())


def _url(place: Path | str) -> str | None:
    """The URL; None for a place on this machine."""
    return place if isinstance(place, str) and "://" in place and not place.startswith("file://") else None


def _path(place: Path | str) -> Path:
    return Path(str(place).removeprefix("file://"))


class _Settling:
    """A progress that lets no stage end before what it made is sent, and ends a stage early when nothing can be sent."""

    def __init__(self, progress: Progress, mirror: Mirror) -> None:
        self._progress, self._mirror = progress, mirror

    def begin(self, stage: str, total: int) -> None:
        self._progress.begin(stage, total)

    def advance(self, items: int, *, tokens: int = 0, accepted: int = 0, total: int | None = None, loss: float | None = None) -> None:
        self._mirror.require_well()
        self._progress.advance(items, tokens=tokens, accepted=accepted, total=total, loss=loss)

    def end(self) -> None:
        self._progress.end()
        self._mirror.settle()

    def say(self, line: str) -> None:
        self._progress.say(line)
