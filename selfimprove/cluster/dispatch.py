"""Which copy of a part gets which call, and when: every copy stays full, and each call goes to the copy that can start it first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from selfimprove.protocols import Load

MOST_CALLS = 64
"""Maximum number of open calls per copy: each holds a thread of the actor until its last result."""

TWO_CALLS = Load(2)
"""Two calls at once, so that the next one waits when the last one ends."""


@dataclass(eq=False)
class Call:
    """One call that a copy works on."""

    copy: int
    arguments: tuple[object, ...]
    results: int
    """Number of results that it brings."""
    missing: int
    """Number of results that have not arrived."""
    attempt: int = 0
    """Number of times that its copy died."""


class Dispatch:
    """The calls that wait, and how full each copy is.

    Args:
        calls: Arguments of each call, read when a copy has room. None says that the next call waits for results.
        copies: Numbers of the copies that can work.
        load: How full to keep each copy.
    """

    def __init__(self, calls: Iterable[tuple[object, ...] | None], copies: Iterable[int], load: Load | None) -> None:
        self._calls, self._load = iter(calls), load or TWO_CALLS
        self._again: list[Call] = []
        self._missing: dict[int, int] = {}
        self._open: dict[int, list[Call]] = {}
        self.exhausted = False
        """Whether every call has been read."""
        self.room: set[int] = set()
        """Copies that can take another call."""
        for copy in copies:
            self.join(copy)

    def next(self) -> Call | None:
        """The call to start now, on the copy with the least work; None if all copies are full or no call is ready."""
        if not self.room:
            return None
        if self._again:
            call = self._again.pop(0)
        else:
            try:
                arguments = next(self._calls)
            except StopIteration:
                self.exhausted = True
                return None
            if arguments is None:
                return None
            results = self._load.of_call(arguments)
            call = Call(-1, arguments, results, results)
        call.copy = min(self.room, key=lambda copy: (self._missing[copy], copy))
        self._open[call.copy].append(call)
        self._count(call.copy, call.missing)
        return call

    def came(self, call: Call, item: Any) -> None:
        """Count a result of a call."""
        came = min(call.missing, self._load.of_item(item))
        call.missing -= came
        self._count(call.copy, -came)

    def ended(self, call: Call) -> None:
        """Count a call as ended."""
        self._open[call.copy].remove(call)
        self._count(call.copy, -call.missing)

    def lost(self, copy: int) -> None:
        """Count a copy as dead. Its calls start again, before all others, on the copies with the least work."""
        for call in self._open.pop(copy):
            call.attempt += 1
            call.missing = call.results
            self._again.append(call)
        del self._missing[copy]
        self.room.discard(copy)

    def join(self, copy: int) -> None:
        """Count a copy as ready."""
        self._open[copy] = []
        self._missing[copy] = 0
        self._count(copy, 0)

    def _count(self, copy: int, missing: int) -> None:
        self._missing[copy] += missing
        if self._missing[copy] < self._load.most and len(self._open[copy]) < MOST_CALLS:
            self.room.add(copy)
        else:
            self.room.discard(copy)
