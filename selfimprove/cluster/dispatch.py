"""Which copy of a part gets which call, and when: each is kept full, and none is given what another could begin sooner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from selfimprove.protocols import Load

MOST_CALLS = 64
"""The most calls that are open with one copy: each holds a thread of its actor until its last result has come."""

TWO_CALLS = Load(2)
"""Two calls at once: the next is there before the last one ends."""


@dataclass(eq=False)
class Call:
    """One call that a copy works on."""

    copy: int
    arguments: tuple[object, ...]
    results: int
    """That it will bring."""
    missing: int
    """Results that have not come yet."""
    attempt: int = 0
    """How often its copy died on it."""


class Dispatch:
    """The calls that are still to be made, and how full each copy is.

    Args:
        calls: read as copies come to have room; None in it says that the next one waits for results.
        copies: the numbers of those that can work.
        load: how full to keep them.
    """

    def __init__(self, calls: Iterable[tuple[object, ...] | None], copies: Iterable[int], load: Load | None) -> None:
        self._calls, self._load = iter(calls), load or TWO_CALLS
        self._again: list[Call] = []
        self._missing: dict[int, int] = {}
        self._open: dict[int, list[Call]] = {}
        self.room: set[int] = set()
        """The copies that can take another call."""
        for copy in copies:
            self.join(copy)

    def next(self) -> Call | None:
        """The call to begin now, with the copy that has least to do; None where all are full or none can be made."""
        if not self.room:
            return None
        if self._again:
            call = self._again.pop(0)
        elif (arguments := next(self._calls, None)) is not None:
            results = self._load.of_call(arguments)
            call = Call(-1, arguments, results, results)
        else:
            return None
        call.copy = min(self.room, key=lambda copy: (self._missing[copy], copy))
        self._open[call.copy].append(call)
        self._count(call.copy, call.missing)
        return call

    def came(self, call: Call, item: Any) -> None:
        """A call brought this."""
        came = min(call.missing, self._load.of_item(item))
        call.missing -= came
        self._count(call.copy, -came)

    def ended(self, call: Call) -> None:
        """A call brought its last."""
        self._open[call.copy].remove(call)
        self._count(call.copy, -call.missing)

    def lost(self, copy: int) -> None:
        """A copy died: all that it worked on begins anew, before anything else, on whichever copy has least to do."""
        for call in self._open.pop(copy):
            call.attempt += 1
            call.missing = call.results
            self._again.append(call)
        del self._missing[copy]
        self.room.discard(copy)

    def join(self, copy: int) -> None:
        """A copy can work."""
        self._open[copy] = []
        self._missing[copy] = 0
        self._count(copy, 0)

    def _count(self, copy: int, missing: int) -> None:
        self._missing[copy] += missing
        if self._missing[copy] < self._load.most and len(self._open[copy]) < MOST_CALLS:
            self.room.add(copy)
        else:
            self.room.discard(copy)
