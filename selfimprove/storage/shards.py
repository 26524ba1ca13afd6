"""Traces and their verdicts, shard by shard: what a stopped stage has verified is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from selfimprove.records import JudgedTrace, Request, Trace, Verdict
from selfimprove.sampling.requests import Requests
from selfimprove.storage.files import read_records, write_records
from selfimprove.storage.hashes import Damaged, hashes, remedy
from selfimprove.storage.unfinished import Unfinished

SHARD = 256
"""Requests per shard."""


ENDED = ("accepted.parquet", "score.json")
"""Files that a stage writes beside its shards once they are complete."""


class JudgedShards:
    """The folders `traces/` and `verdicts/`, with one file per shard in each. A shard is complete once its verdicts are there too."""

    def __init__(self, folder: Path, requests: Sequence[Request]) -> None:
        self._folder = folder
        self._shards: list[tuple[Sequence[Request], int]] = []
        """For each shard, the requests that it is part of and where it starts in them."""
        self._shard_of: dict[str, int] = {}
        """The shard of each request that may still come: none of a written shard, nor of one far ahead."""
        self._ahead = 0
        """The first shard that `_shard_of` does not cover."""
        self._open: dict[int, dict[str, JudgedTrace]] = {}
        self._unfinished = Unfinished(folder)
        self._left = {item.trace.id: item for item in self._unfinished.read()}
        """Traces of an earlier attempt whose shard was not full."""
        self.extend(requests)

    def __len__(self) -> int:
        return len(self._shards)

    def extend(self, requests: Sequence[Request]) -> range:
        """Add requests in shards of their own; returns the numbers of these shards."""
        begin = len(self._shards)
        self._shards += [(requests, start) for start in range(0, len(requests), SHARD)]
        return range(begin, len(self._shards))

    def missing(self, numbers: range | None = None) -> Sequence[Request]:
        """The requests whose traces have not arrived, among these shards or all."""
        chosen = range(len(self._shards)) if numbers is None else numbers
        self._take_up(number for number in chosen if not self._complete(number))
        incomplete = [number for number in chosen if not self._complete(number)]
        places = [self._places(number) for number in incomplete]
        parts = [self._shards[number] for number in incomplete]
        return Requests(map(len, places), lambda part, place: parts[part][0][parts[part][1] + places[part][place]])

    def complete(self, numbers: range) -> bool:
        """Whether all of these shards are complete."""
        return all(map(self._complete, numbers))

    def keep(self) -> None:
        """Keep the traces of shards that are not full, for a stage that is stopped."""
        self._unfinished.write([item for shard in self._open.values() for item in shard.values()])

    def add(self, judged: Iterable[JudgedTrace]) -> None:
        """Add traces in any order. A shard is written when its last trace arrives; a trace that arrives twice counts once.

        Raises:
            KeyError: No request has this id.
        """
        closed = False
        for item in judged:
            number = self._find(item.trace.id)
            if self._complete(number):
                continue
            shard = self._open.setdefault(number, {})
            shard[item.trace.id] = item
            if len(shard) == self._size(number):
                self._write(number, self._open.pop(number))
                closed = True
        if self._unfinished.due or (closed and self._unfinished.is_there):
            self.keep()

    def read(self, numbers: range | None = None) -> Iterator[JudgedTrace]:
        """The traces of these shards, or of all, with verdicts, in the order of the requests. One shard is in memory at a time."""
        for number in range(len(self._shards)) if numbers is None else numbers:
            yield from _shard(self._path("verdicts", number))

    def _take_up(self, incomplete: Iterable[int]) -> None:
        """Put the traces of an earlier attempt into their shards."""
        for number in incomplete:
            if not self._left:
                return
            self.add([self._left.pop(request.id) for request in self._requests(number) if request.id in self._left])

    def _places(self, number: int) -> Sequence[int]:
        """The places in a shard whose traces have not arrived."""
        if number not in self._open:
            return range(self._size(number))
        return [place for place, request in enumerate(self._requests(number)) if request.id not in self._open[number]]

    def _requests(self, number: int) -> Sequence[Request]:
        requests, start = self._shards[number]
        return requests[start : start + SHARD]

    def _size(self, number: int) -> int:
        requests, start = self._shards[number]
        return min(SHARD, len(requests) - start)

    def _find(self, trace_id: str) -> int:
        """The number of the trace's shard. Traces are requested in order, so it is one of the next shards."""
        while trace_id not in self._shard_of and self._ahead < len(self._shards):
            if not self._complete(self._ahead):
                self._shard_of |= {request.id: self._ahead for request in self._requests(self._ahead)}
            self._ahead += 1
        if trace_id in self._shard_of:
            return self._shard_of[trace_id]
        # The trace arrives once more, after its shard was written.
        for number in range(len(self._shards)):
            if any(request.id == trace_id for request in self._requests(number)):
                return number
        raise KeyError(trace_id)

    def _write(self, number: int, judged: dict[str, JudgedTrace]) -> None:
        in_order = [judged[request.id] for request in self._requests(number)]
        write_records(self._path("traces", number), [item.trace for item in in_order], Trace)
        write_records(self._path("verdicts", number), [item.verdict for item in in_order], Verdict)
        for trace_id in judged:
            self._shard_of.pop(trace_id, None)

    def _complete(self, number: int) -> bool:
        return self._path("verdicts", number).exists() and self._path("traces", number).exists()

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / kind / f"shard-{number:05d}.parquet"


def holds_traces(folder: Path) -> bool:
    """Whether a stage has written traces, at work or complete."""
    return any((folder / "verdicts").glob("shard-*.parquet")) or Unfinished(folder).is_there


def traces_held(folder: Path) -> int:
    """Number of traces that a stage has written, as the files' own footers say."""
    from pyarrow import parquet

    places = ((folder / "verdicts").glob("shard-*.parquet"), (folder / "unfinished").glob("verdicts.parquet"))
    return sum(parquet.read_metadata(file).num_rows for files in places for file in files)


def has_ended(folder: Path) -> bool:
    """Whether a stage is complete."""
    return any((folder / name).exists() for name in ENDED)


def stored(folder: Path) -> Iterator[JudgedTrace]:
    """The stored traces of a stage with their verdicts, in the order of the requests. One shard is in memory at a time.

    Raises:
        UserError: As `shards`.
    """
    for shard in shards(folder):
        yield from shard


def shards(folder: Path) -> Iterator[list[JudgedTrace]]:
    """The stored traces of a stage with their verdicts, shard by shard.

    Raises:
        UserError: A shard is damaged, or missing from a stage that is complete.
    """
    place = folder / "verdicts"
    files = sorted(place.glob("shard-*.parquet"))
    if has_ended(folder) and (gone := hashes(place).keys() - {file.name for file in files}):
        missing = place / min(gone)
        raise Damaged(f"{missing} is missing; {remedy(missing)}")
    left = {item.trace.id: item for item in Unfinished(folder).read()}
    for shard in map(_shard, files):
        yield shard
        if left:
            left = {name: item for name, item in left.items() if name not in {one.trace.id for one in shard}}
    if left:
        yield list(left.values())


def _shard(verdicts_file: Path) -> list[JudgedTrace]:
    verdicts = {verdict.trace_id: verdict for verdict in read_records(verdicts_file, Verdict)}
    traces = read_records(verdicts_file.parent.parent / "traces" / verdicts_file.name, Trace)
    if missing := next((trace.id for trace in traces if trace.id not in verdicts), None):
        raise Damaged(f"{verdicts_file} holds no verdict on the trace {missing}; {remedy(verdicts_file)}")
    return [JudgedTrace(trace, verdicts[trace.id]) for trace in traces]
