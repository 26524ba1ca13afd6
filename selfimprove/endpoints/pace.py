"""Spaces the requests to a server evenly."""

from __future__ import annotations

import asyncio
import multiprocessing
import time

LONGEST_HOLD = 1.0
"""Seconds after which whoever holds the turn is believed dead: it was killed, for taking a turn takes microseconds."""


class Pace:
    """Turns to send a request. Processes that are forked from this one share them."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = multiprocessing.Value("d", 0.0)

    async def take_turn(self, _: object = None) -> None:
        """Wait until the next request may be sent."""
        if self._gap:
            lock = self._next.get_lock()
            held = lock.acquire(timeout=LONGEST_HOLD)
            # The monotonic clock is the same in every process.
            turn = max(self._next.get_obj().value, now := time.monotonic())
            self._next.get_obj().value = turn + self._gap
            if held:
                lock.release()
            await asyncio.sleep(turn - now)
