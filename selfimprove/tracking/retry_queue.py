"""What still has to be sent to a tracker, in order. A tracker's failures end here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from selfimprove.errors.redaction import redact

LOGGER = logging.getLogger(__name__)


class RetryQueue:
    """Sends its items in order; an item that fails stays pending and is tried again at a later `send`."""

    def __init__(self, tracker: str, address: str = "") -> None:
        """`tracker` is the tracker's name in the log, `address` where it is: the log shows none of its secrets."""
        self._tracker, self._address = tracker, address
        self._pending: dict[str, Callable[[], None]] = {}
        self._failing = False
        self._rest_until = 0.0

    def put(self, what: str, log: Callable[[], None]) -> None:
        """Queue one item. Calling `log` twice must store it once; a pending item of the same name is replaced."""
        self._pending[what] = log

    def send(self, patiently: bool = False) -> None:
        """Send all pending items. Never raises, and logs one warning for each outage.

        If `patiently`, do nothing within five seconds of the last attempt, or within a minute if that one failed.
        """
        begin = time.monotonic()
        if patiently and begin < self._rest_until:
            return
        for what, log in list(self._pending.items()):
            try:
                log()
                del self._pending[what]
            # MLflow, requests, SQLAlchemy and the artifact stores have no exception in common, and none of theirs may stop a run.
            except Exception as error:
                self._warn(what, error)
                # A quick refusal concerns this item alone. After a slow one the store is away, and every further item would take as long.
                if time.monotonic() - begin > 2:
                    break
        self._failing = bool(self._pending)
        self._rest_until = time.monotonic() + (60 if self._failing else 5)

    def _warn(self, what: str, error: Exception) -> None:
        if not self._failing:
            reason = redact(next(iter(str(error).splitlines()), ""), self._address)[:200]
            LOGGER.warning("%s could not be sent to %s (%s: %s); it will be tried again later.", what, self._tracker, type(error).__name__, reason)
        self._failing = True
