"""Requests that are built when they are accessed: a million of them take no more memory than their problems."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import overload

from selfimprove.records import Request


class Requests(Sequence[Request]):
    """A sequence of groups of requests. A slice is a list; sequences with the same requests in the same order are equal.

    Args:
        counts: Number of requests in each group.
        make: Builds a request from the number of its group and its place in the group.
    """

    def __init__(self, counts: Iterable[int], make: Callable[[int, int], Request]) -> None:
        self._ends = list(accumulate(counts))
        self._make = make

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> Request: ...
    @overload
    def __getitem__(self, place: slice) -> list[Request]: ...
    def __getitem__(self, place: int | slice) -> Request | list[Request]:
        numbers = range(len(self))[place]
        return [self._at(number) for number in numbers] if isinstance(numbers, range) else self._at(numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Request.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def _at(self, number: int) -> Request:
        group = bisect_right(self._ends, number)
        return self._make(group, number - (self._ends[group - 1] if group else 0))
