"""Folders of a run that were removed, and whose objects at the URL are to follow."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from selfimprove.storage.remote.file_store import FileStore

LOGGER = logging.getLogger(__name__)


class Forgotten:
    """Removes the objects of each folder once, when the index at the URL no longer names them: no run elsewhere misses a named file."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._folders = set[str]()
        self._tried = set[str]()

    def add(self, folder: str) -> None:
        """Let a folder go; its name ends with a slash."""
        self._folders.add(folder)

    def remove(self, named: Iterable[str]) -> None:
        """Remove what none of these names is in. A failure is logged, and tried again when the run is continued."""
        known = tuple(named)
        for folder in sorted(self._folders - self._tried):
            if any(name.startswith(folder) for name in known):
                continue
            self._tried.add(folder)
            try:
                self._store.remove_folder(folder.rstrip("/"))
            # The file systems have no exception in common.
            except Exception as error:
                LOGGER.warning("%s/%s cannot be removed (%s); the run goes on", self._store, folder, self._store.reason(error))
