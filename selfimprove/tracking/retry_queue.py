"""What a tracker is still to be told, in order: the one place where a tracker's failure ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from selfimprove.errors import without_password

LOGGER = logging.getLogger(__name__)


class RetryQueue:
    """Tells what was put into it; what fails stays, and is tried again at a later `send`."""

    def __init__(self, tracker: str) -> None:
        """`tracker` is its name in the log."""
        self._tracker = tracker
        self._waiting: dict[str, Callable[[], None]] = {}
        self._failing = False
        self._rest_until = 0.0

    def put(self, what: str, tell: Callable[[], None]) -> None:
        """Queue one item; telling it twice must store it once."""
        self._waiting[what] = tell

    def send(self, patiently: bool = False) -> None:
        """Tell all that waits; never raises, and logs one warning for each outage.

        When `patiently`, nothing happens within five seconds of the last time, or within a minute if that one failed.
        """
        begin = time.monotonic()
        if patiently and begin < self._rest_until:
            return
        for what, tell in list(self._waiting.items()):
            try:
                tell()
                del self._waiting[what]
            # MLflow, requests, SQLAlchemy and the artifact stores have no exception in common, and none of theirs may stop a run.
            except Exception as error:
                self._warn(what, error)
                # A quick refusal concerns this item alone; after a slow one nobody is there, and every further item would cost as much.
                if time.monotonic() - begin > 2:
                    break
        self._failing = bool(self._waiting)
        self._rest_until = time.monotonic() + (60 if self._failing else 5)

    def _warn(self, what: str, error: Exception) -> None:
        if not self._failing:
            reason = without_password(next(iter(str(error).splitlines()), ""))[:200]
            LOGGER.warning("%s was not told of %s (%s: %s); it is tried again later.", self._tracker, what, type(error).__name__, reason)
        self._failing = True
