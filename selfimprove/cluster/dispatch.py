"""Which copy of a part gets which call, and when: each is kept full, and none is given what another could begin sooner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from selfimprove.seams import Load

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
    attempt: int = 0
    """How often its copy died on it."""
    missing: int = 0
    """Results that have not come yet."""

    def __post_init__(self) -> None:
        self.missing = self.results


class Dispatch:
    """The calls that are still to be made, and how full each copy is.

    Args:
        calls: read as copies come to have room; None in it says that the next one waits for results.
        copies: how many there are.
        load: how full to keep them.
    """

    def __init__(self, calls: Iterable[tuple[object, ...] | None], copies: int, load: Load | None) -> None:
        self._calls, self._load = iter(calls), load or TWO_CALLS
        self._missing = [0] * copies
        self._open = [0] * copies
        self._room = set(range(copies))

    def next(self) -> Call | None:
        """The call to begin now, with the copy that has least to do; None where all are full or none can be made."""
        if not self._room or (arguments := next(self._calls, None)) is None:
            return None
        copy = min(self._room, key=lambda copy: (self._missing[copy], copy))
        call = Call(copy, arguments, self._load.of_call(arguments))
        self._count(call, call.missing, 1)
        return call

    def came(self, call: Call, item: Any) -> None:
        """A call brought this."""
        came = min(call.missing, self._load.of_item(item))
        call.missing -= came
        self._count(call, -came, 0)

    def ended(self, call: Call) -> None:
        """A call brought its last."""
        self._count(call, -call.missing, -1)

    def again(self, call: Call) -> None:
        """A call begins anew, as its copy died."""
        call.attempt += 1
        self._count(call, call.results - call.missing, 0)
        call.missing = call.results

    def _count(self, call: Call, missing: int, calls: int) -> None:
        copy = call.copy
        self._missing[copy] += missing
        self._open[copy] += calls
        if self._missing[copy] < self._load.most and self._open[copy] < MOST_CALLS:
            self._room.add(copy)
        else:
            self._room.discard(copy)
